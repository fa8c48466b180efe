"""The outputs of training a task: the log, the timing and the state."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from pipeline.artifacts.plans.files import plan_digest
from pipeline.artifacts.plans.online import OnlinePlan
from pipeline.artifacts.plans.train import TrainPlan
from pipeline.artifacts.state import METHOD, STRATEGY, TRAINING, Origin, State, write_state
from pipeline.artifacts.training_log import Timing, write_losses, write_timing
from pipeline.distributed.group import Group
from pipeline.runtime.arithmetic import Precision
from pipeline.runtime.elapsed import Elapsed
from pipeline.stages.train_inputs import TaskInputs
from pipeline.stages.train_online import write_classifier
from pipeline.stages.train_steps import hold_training
from pipeline.training.learner import Learner


def write_outputs(
    plan: TrainPlan,
    online: OnlinePlan | None,
    learner: Learner,
    inputs: TaskInputs,
    elapsed: Elapsed,
    looked_back: Elapsed,
    group: Group,
    precision: Precision,
) -> None:
    """Write the outputs, the state last.

    Args:
        plan: of the training.
        online: of the classifier that was trained beside it; None: there is none.
        learner: which has ended.
        inputs: what it was trained from.
        elapsed: what training took.
        looked_back: what the strategy's look back took.
        group: the processes that trained.
        precision: Lightning's name of it.

    Raises:
        RunError: a file cannot be written.
    """
    method, strategy = learner.method, learner.strategy
    carried = strategy.carried()
    passed, processes = learner.passed, group.processes.count
    views = learner.steps.total * plan.train.batch_size * len(plan.views)
    timing = Timing(
        seconds=round(elapsed.seconds, 1),
        look_back_seconds=round(looked_back.seconds, 1),
        steps=learner.steps.total,
        device=str(group.device),
        processes=processes,
        precision=precision,
        forward_passes=round(passed.forward * processes / views, 4),
        strategy_bytes=_count_bytes([*strategy.parameters(), *strategy.buffers()]),
        carried_bytes=_count_bytes(carried.values()),
        log=write_losses(plan.task, learner.epochs.rows),
        cpu_seconds=round(elapsed.cpu_seconds + looked_back.cpu_seconds, 1),
        teacher_passes=round(passed.teacher * processes / views, 4),
        images_forward=passed.forward * processes,
        images_backward=passed.backward * processes,
    )
    write_timing(plan.task, timing)
    write_classifier(plan, online, learner)
    origin = describe_origin(plan, inputs.previous, inputs.split)
    sections = {METHOD: method.state_dict(), STRATEGY: carried}
    if plan.stays_open:
        sections[TRAINING] = hold_training(learner)
    write_state(sections, origin)


def describe_origin(plan: TrainPlan, parent: State, split: str) -> Origin:
    """The origin of the state that training a task makes.

    Args:
        plan: of the training.
        parent: the state it started from.
        split: the digest of the split that was learnt.
    """
    return Origin(
        task=plan.task,
        plan=plan_digest(plan),
        seed=plan.seed,
        code=plan.code,
        backbone=plan.backbone,
        ancestors=(*parent.origin.ancestors, parent.content),
        task_order=(*parent.origin.task_order, split),
        method=plan.method.name,
        strategy="+".join(each.name for each in plan.strategies) or None,
        parent=parent.content,
        split=split,
    )


def _count_bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
