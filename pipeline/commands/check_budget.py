"""The check of ``train.budget`` against the images of the tasks."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.config.params import Params
from pipeline.config.plan_data import plan_view_augments
from pipeline.config.registry.strategies import learns_at_once


def check_budget(params: Params, sizes: Sequence[int]) -> list[str]:
    """Return what is wrong with the budget, before what a strategy adds to each step.

    Args:
        params: that hold it.
        sizes: training images of each task.
    """
    train = params.train
    if train.budget is None:
        return []
    at_once = learns_at_once(params.strategy)
    images = sum(sizes) if at_once else max(sizes)
    least = images // train.batch_size * train.batch_size * len(plan_view_augments(params))
    least = -(-least // (len(sizes) if at_once else 1))
    if train.budget >= least:
        return []
    return [
        f"train.budget ({train.budget}) is below one pass over a task, {least} images forward and "
        "backward, each view counted; raise it"
    ]
