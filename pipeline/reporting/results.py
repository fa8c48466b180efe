"""Read what the stages left: the accuracy matrix, logs, timings and splits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

from pipeline import layout
from pipeline.errors import DataError, RunError
from pipeline.files import Json, read_csv, read_json
from pipeline.metrics import average_accuracy, forgetting, forward_transfer


@dataclass(frozen=True)
class Results:
    """All that a report shows.

    Attributes:
        params: params.yaml as it was planned.
        matrix: accuracies in percent, row 0 the random network; see ``pipeline.metrics``.
        splits: what each task holds.
        epochs: one row an epoch of all tasks: task, epoch, step, loss terms, learning rate.
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


def read_results(params: Json) -> Results:
    """Return the results of the planned run.

    Raises:
        PipelineError: an evaluation, a split, a log or a timing is missing or unreadable.
    """
    num_tasks = cast(int, params["num_tasks"])
    tasks = range(1, num_tasks + 1)
    matrix = []
    for after in range(num_tasks + 1):
        remedy = f"run `cassle evaluate {after}` first (or `dvc repro`)"
        row = cast(Json, _required(layout.evaluation(after), remedy)["accuracy"])
        if list(row) != [str(task) for task in tasks]:
            raise DataError(
                f"{layout.evaluation(after)} scores the tasks {', '.join(row)}, expected 1 to "
                f"{num_tasks}; {remedy}"
            )
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
