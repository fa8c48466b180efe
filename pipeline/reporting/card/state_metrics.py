"""Accuracies and metrics of one state, from evaluations of the current plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from pipeline import layout
from pipeline.errors import PipelineError, RunError
from pipeline.files.sealed_json import Json, read_sealed
from pipeline.reporting.results import read_results


@dataclass(frozen=True)
class StateMetrics:
    """Accuracies and metrics of a state.

    Attributes:
        accuracy: the accuracy on each task's test images, in percent; None without evaluation.
        metrics: the metrics of the whole stream; None except for its last state.
        missing: the reason of each None.
    """

    accuracy: list[float] | None
    metrics: Json | None
    missing: list[str]


def read_state_metrics(slot: Json, after_task: int) -> StateMetrics:
    """Return the metrics of the state after a task, only from evaluations of this plan.

    Args:
        slot: the report's slot in the plan.
        after_task: 0 is the random network.
    """
    params, evaluations = cast(Json, slot["params"]), cast(list[str], slot["evaluations"])
    missing: list[str] = []
    accuracy = metrics = None
    try:
        accuracy = _accuracy(after_task, evaluations[after_task])
    except PipelineError as reason:
        missing.append(str(reason))
    if accuracy is not None and 0 < after_task == len(evaluations) - 1:
        try:
            metrics = read_results(params, evaluations).metrics()
        except PipelineError as reason:
            missing.append(str(reason))
    return StateMetrics(accuracy, metrics, missing)


def _accuracy(after_task: int, expected: str) -> list[float]:
    path, remedy = layout.evaluation(after_task), f"run `cassle evaluate {after_task}`"
    evaluation = read_sealed(path, RunError, remedy)
    if evaluation is None or evaluation.get("plan") != expected:
        raise RunError(f"{path} is of another plan (params or code changed); {remedy}")
    row = cast(dict[str, float], evaluation["accuracy"])
    return [row[str(task)] for task in range(1, len(row) + 1)]
