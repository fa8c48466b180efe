"""The steps of training a task, and where they go on from another task's."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline import layout
from pipeline.artifacts.plans.train import TrainPlan
from pipeline.artifacts.state import TRAINING, State
from pipeline.building.training import count_steps
from pipeline.data.batches import MinibatchOrder, TaskOrder
from pipeline.distributed.processes import Processes
from pipeline.errors import StateError
from pipeline.models.loading import require_names, select_below
from pipeline.strategies.base import Strategy
from pipeline.training.learner import Learner
from pipeline.training.task_steps import TaskSteps

OPTIMIZER, BUFFER = "optimizer", "buffer"  # in the section of a state


def plan_steps(
    plan: TrainPlan,
    strategy: Strategy,
    counts: Sequence[int],
    processes: Processes,
    *,
    ordered: bool,
) -> tuple[TaskOrder, TaskSteps]:
    """The batches of a task in order, and the steps on them.

    Args:
        plan: of the training.
        strategy: that acts on the task; it has looked back.
        counts: images of each task that is learnt now.
        processes: that train together.
        ordered: whether the images are in the order in which a stream brings them.

    Raises:
        RunError: the budget is too small for the task.
    """
    training, count = plan.train, sum(counts)
    where = (processes.rank, processes.count)
    steps = count_steps(plan, strategy, counts)
    order: TaskOrder
    if plan.online_stream is not None:
        size = training.batch_size
        order = MinibatchOrder(
            count, size, steps.total, plan.seed, plan.task, *where, ordered=ordered
        )
    else:
        parts = training.accumulate_grad_batches
        order = TaskOrder(
            count, training.batch_size, steps.epochs, plan.seed, plan.task, parts, *where
        )
        order.total_steps = steps.total
    return order, steps


def hold_training(learner: Learner) -> dict[str, Tensor]:
    """What training goes on with in the next task of a stream without boundaries.

    Args:
        learner: whose training has ended.
    """
    optimizer = {f"{OPTIMIZER}.{name}": t for name, t in learner.hold_optimizer().items()}
    return optimizer | {f"{BUFFER}.{name}": t for name, t in _list_buffers(learner).items()}


def _list_buffers(learner: Learner) -> dict[str, Tensor]:
    """The method's buffers that are no part of its state."""
    kept = learner.method.state_dict()
    return {name: t for name, t in learner.method.named_buffers() if name not in kept}


def continue_training(learner: Learner, previous: State) -> None:
    """Give a new learner what training held at the end of the task before.

    Raises:
        StateError: the state before does not hold it.
    """
    held = previous.section(TRAINING)
    buffers, before = _list_buffers(learner), select_below(held, BUFFER)
    try:
        require_names(before, buffers)
        with torch.no_grad():
            for name, buffer in buffers.items():
                buffer.copy_(before[name])
    except (ValueError, RuntimeError) as error:
        path = layout.state(previous.origin.task)
        raise StateError(f"{path} is of another stream: {error}") from error
    learner.optimizer_before = select_below(held, OPTIMIZER)
