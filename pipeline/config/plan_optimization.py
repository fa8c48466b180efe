"""The plan of the optimizer, its schedule and the batches."""

from __future__ import annotations

from pipeline.artifacts.plans.train import OnlineStreamPlan, OptimizationPlan
from pipeline.config.options import plan_component
from pipeline.config.params import Params
from pipeline.config.registry.strategies import learns_at_once
from pipeline.config.stream import count_tasks


def plan_optimization(params: Params, task: int) -> OptimizationPlan:
    """The section train as far as it shapes a result beyond rounding.

    Options of an optimizer that is not chosen do not count. How many processes share a batch
    counts where each has a BatchNorm of its own: else they give what one gives, as threads do.

    Args:
        params: that hold the section.
        task: the number of the task that is trained.
    """
    train = params.train
    scale = train.rate_scale
    # Nothing of an online stream's end is known, so the rate is constant.
    online, budget = params.stream.online, train.budget
    if budget is not None and learns_at_once(params.strategy):
        budget *= count_tasks(params)
    return OptimizationPlan(
        optimizer=plan_component(params, "optimizer", train.optimizer),
        epochs=1 if online else train.epochs,
        batch_size=train.batch_size,
        accumulate_grad_batches=train.accumulate_grad_batches,
        batchnorm_groups=1 if train.sync_batchnorm else train.devices * train.num_nodes,
        learning_rate=train.learning_rate * scale,
        weight_decay=train.weight_decay,
        exclude_norms_and_biases=train.exclude_norms_and_biases,
        warmup_epochs=0.0 if online else train.warmup_epochs,
        warmup_start=train.warmup_start * scale,
        final_learning_rate=(train.learning_rate if online else train.final_learning_rate) * scale,
        precision=train.precision,
        backbone_rate=train.backbone_rate,
        head_warmup_epochs=train.head_warmup_epochs if task == 1 else 0,
        budget=budget,
    )


def plan_online_stream(params: Params) -> OnlineStreamPlan | None:
    """How the images of the stream come, where they come once; None: they pass in epochs."""
    stream = params.stream
    return OnlineStreamPlan(stream.passes, stream.boundaries == "told") if stream.online else None
