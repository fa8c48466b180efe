"""Read what the stages left: the accuracy matrix, logs, timings and splits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from pipeline import layout
from pipeline.errors import RunError
from pipeline.files import Json, read_csv, read_json
from pipeline.metrics import average_accuracy, forgetting, forward_transfer


@dataclass(frozen=True)
class Results:
    """All that a report shows.

    Attributes:
        params: params.yaml as it was planned.
        matrix: accuracies in percent, row 0 the random network; see ``pipeline.metrics``.
        splits: what each task holds.
        epochs: one row an epoch of all tasks: task, epoch, step, loss terms, spread and rank
            of the projections, learning rate.
        timings: seconds, steps, device and precision of each task's training.
    """

    params: Json
    matrix: list[list[float]]
    splits: list[Json]
    epochs: list[dict[str, str]]
    timings: list[Json]

    @property
    def num_tasks(self) -> int:
        """The number of tasks, T."""
        return len(self.splits)

    def metrics(self) -> Json:
        """Return the headline figures, as reports/metrics.json holds them."""
        return {
            "average_accuracy": _rounded(average_accuracy(self.matrix)),
            "forgetting": _rounded(forgetting(self.matrix)),
            "forward_transfer": _rounded(forward_transfer(self.matrix)),
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def read_results(params: Json, evaluations: Sequence[str]) -> Results:
    """Return the results of the planned run.

    Args:
        params: params.yaml as it was planned.
        evaluations: the digest of each evaluation's slot in the plan, from after task 0 on.

    Raises:
        PipelineError: an evaluation, a split, a log or a timing is missing or unreadable.
    """
    num_tasks = cast(int, params["num_tasks"])
    tasks = range(1, num_tasks + 1)
    matrix = []
    for after in range(num_tasks + 1):
        remedy = f"run `cassle evaluate {after}` first (or `dvc repro`)"
        evaluation = _required(layout.evaluation(after), remedy)
        if evaluation.get("plan") != evaluations[after]:
            raise RunError(
                f"{layout.evaluation(after)} is of another plan (params or code changed); {remedy}"
            )
        row = cast(Json, evaluation["accuracy"])
        matrix.append([cast(float, row[str(task)]) for task in tasks])
    epochs: list[dict[str, str]] = []
    for task in tasks:
        try:
            epochs += read_csv(layout.log(task))
        except FileNotFoundError:
            raise RunError(
                f"{layout.log(task)} is missing; run `cassle train {task}` first"
            ) from None
    return Results(
        params=params,
        matrix=matrix,
        splits=[_required(layout.split(task), "run `cassle prepare` first") for task in tasks],
        epochs=epochs,
        timings=[_required(layout.timing(t), f"run `cassle train {t}` first") for t in tasks],
    )


def _required(path: Path, remedy: str) -> Json:
    value = read_json(path, RunError, remedy)
    if value is None:
        raise RunError(f"{path} is empty; {remedy}")
    return value
