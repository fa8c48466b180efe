"""The check of ``train.budget`` against the images of the tasks."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.config.params import Params
from pipeline.config.resolve import resolve
from pipeline.errors import RunError


def check_budget(params: Params, sizes: Sequence[int]) -> list[str]:
    """Return what is wrong with the budget, before what a memory adds to each step.

    Args:
        params: that hold it.
        sizes: training images of each task, none below ``train.batch_size``.
    """
    if params.train.budget is None:
        return []
    from pipeline.building.training import build_strategy, count_steps  # imports torch

    plans = resolve(params).train
    # From task 2 on all tasks are alike, and the largest needs most.
    later = sorted((task for task in plans if task > 1), key=lambda task: -sizes[task - 1])
    problems = []
    for plan in (plans[task] for task in [1, *later[:1]]):
        counts = sizes if plan.whole_stream is not None else [sizes[plan.task - 1]]
        try:
            count_steps(plan, build_strategy(plan), counts)
        except RunError as error:
            problems.append(str(error))
    return problems
