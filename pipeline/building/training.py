"""The method, the strategy, the optimization and the steps that a plan names."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch.optim import Optimizer

from pipeline.artifacts.plans.train import OptimizationPlan, TrainPlan
from pipeline.building.components import load_class
from pipeline.errors import RunError
from pipeline.methods.base import Method
from pipeline.models.backbone import Backbone
from pipeline.strategies.base import Strategy
from pipeline.strategies.finetune import Finetune
from pipeline.training.optim import Optimization
from pipeline.training.task_steps import TaskSteps, spend_budget

LOG_ROWS = 10  # of the log, for a task of an online stream


def build_method(plan: TrainPlan, backbone: Backbone) -> Method:
    """The method around a backbone that has its weights."""
    return load_class(plan.method.path, Method)(backbone, **plan.method.options)


def build_strategy(plan: TrainPlan) -> Strategy:
    """The strategy, which has not looked back yet; fine-tuning where none acts on the task."""
    parts = {each.name: load_class(each.path, Strategy)(**each.options) for each in plan.strategies}
    if plan.compose is not None:
        return load_class(plan.compose, Strategy)(parts)
    return next(iter(parts.values()), Finetune())


def build_optimization(plan: OptimizationPlan) -> Optimization:
    """The optimizer, with its options, and the schedule."""
    optimizer = load_class(plan.optimizer.path, Optimizer)
    return Optimization(
        optimizer=partial(optimizer, **plan.optimizer.options),
        learning_rate=plan.learning_rate,
        weight_decay=plan.weight_decay,
        exclude_norms_and_biases=plan.exclude_norms_and_biases,
        epochs=plan.epochs,
        warmup_epochs=plan.warmup_epochs,
        warmup_start=plan.warmup_start,
        final_learning_rate=plan.final_learning_rate,
        backbone_rate=plan.backbone_rate,
        head_warmup_epochs=plan.head_warmup_epochs,
    )


def count_steps(plan: TrainPlan, strategy: Strategy, counts: Sequence[int]) -> TaskSteps:
    """The steps of a task.

    Args:
        plan: of the training.
        strategy: that acts on the task.
        counts: images of each task that is learnt now.

    Raises:
        RunError: the budget is too small for the task, or for a warm-up.
    """
    training, stream = plan.train, plan.online_stream
    per_epoch = sum(counts) // training.batch_size
    phases = strategy.phases(counts, training.batch_size, training.epochs)
    if stream is not None:
        phases = [stream.passes]
    steps = [epochs * per_epoch for epochs in phases]
    if training.budget is not None:
        images = strategy.count_images(training.batch_size, len(plan.views))
        steps = spend_budget(phases, per_epoch, training.budget, images, plan.task)
        _require_warm_up_ends(plan, [count / per_epoch for count in steps])
    if stream is None:
        return TaskSteps(steps, per_epoch)
    return TaskSteps(steps, -(-sum(steps) // LOG_ROWS), per_epoch)


def _require_warm_up_ends(plan: TrainPlan, phases: Sequence[float]) -> None:
    """Check that the warm-ups fit into the epochs that a budget allows each phase.

    In the first phase more is trained than they; a later one may be as long, as it may be without
    a budget.
    """
    training, epochs = plan.train, min(phases)
    for name, least in (
        ("warmup_epochs", training.warmup_epochs),
        ("head_warmup_epochs", training.head_warmup_epochs),
    ):
        if least > epochs or least >= phases[0]:
            bound = "below" if least >= phases[0] else "at most"
            raise RunError(
                f"train.{name} must be {bound} the {epochs:.3g} epochs that train.budget allows "
                f"{'' if epochs == phases[0] else 'a phase of '}task {plan.task}, got {least:g}; "
                "lower it, or raise the budget"
            )
