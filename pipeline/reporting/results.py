"""The results of a run, read from the stages' outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline import layout
from pipeline.artifacts.evaluation import ByTask, Evaluation, read_evaluations
from pipeline.artifacts.plans.report import ReportPlan
from pipeline.artifacts.split import Split, read_gone, read_splits, shared_test
from pipeline.artifacts.training_log import Timing, read_training_log
from pipeline.errors import RunError
from pipeline.files.sealed_json import Json
from pipeline.files.typed_json import get_typed
from pipeline.metrics.accuracy_matrix import (
    Matrix,
    average_accuracy,
    forgetting,
    forward_transfer,
    plasticity,
    stability,
)
from pipeline.reporting.representations import FeatureChange, list_changes
from pipeline.reporting.task_names import name_task

Cells = list[list[float | None]]  # one row a state, one cell a task; None: not measured


@dataclass(frozen=True)
class Probed:
    """Accuracies of one probe in percent, by state and task, like ``Results.matrix``.

    A cell is None if it was not measured.

    Attributes:
        task_agnostic: accuracies over all classes.
        task_aware: accuracies within the classes of each image's task; if tasks are domains,
            those of a classifier trained only on the image's domain.
    """

    task_agnostic: Cells
    task_aware: Cells


@dataclass(frozen=True)
class Results:
    """All results that a report shows.

    Attributes:
        params: the planned params.
        matrix: accuracies in percent, row 0 the random network; None: not measured; see
            ``pipeline.metrics.accuracy_matrix``. The headline probe's, task-agnostic.
        headline: the name of that probe.
        probes: every probe's accuracies.
        ranks: the effective rank of the features of each task's test images, by state; None:
            not measured.
        changes: the features' change by each task, from task 1 on.
        splits: the tasks' splits.
        epochs: one row an epoch of all tasks: task, epoch, step, loss terms, spread and rank
            of the projections, learning rate.
        class_names: the class names of the test images, by label.
        protocol: how the headline probe's accuracies come about.
        timings: seconds, steps, device, precision, passes and bytes of each task's training.
        gone: the tasks whose images were no longer here at the last evaluation.
        row_classes: the number of classes that the probes of each row choose from.
    """

    params: Json
    matrix: Cells
    headline: str
    probes: dict[str, Probed]
    ranks: Cells
    changes: list[FeatureChange]
    splits: list[Split]
    epochs: list[dict[str, str]]
    timings: list[Timing]
    class_names: Sequence[str] = ()
    protocol: str = ""
    gone: Sequence[int] = ()
    row_classes: Sequence[int] = ()

    @property
    def num_tasks(self) -> int:
        """The number of tasks, T."""
        return len(self.splits)

    @property
    def at_once(self) -> bool:
        """Whether all tasks were learnt at once."""
        return len(self.timings) < self.num_tasks

    @property
    def after_tasks(self) -> list[int]:
        """The number of learnt tasks at each row of the matrix."""
        return [0, self.num_tasks] if self.at_once else list(range(self.num_tasks + 1))

    @property
    def tested_on(self) -> list[str]:
        """The column names of tables and plots; a single one if all tasks share a test set."""
        if shared_test(self.splits):
            return ["whole test set"]
        return [name_task(task, self.gone) for task in range(1, self.num_tasks + 1)]

    @property
    def shown(self) -> Cells:
        """The matrix with the columns of ``tested_on`` only."""
        return [row[: len(self.tested_on)] for row in self.matrix]

    @property
    def has_gaps(self) -> bool:
        """Whether an accuracy of ``shown`` was not measured."""
        return any(value is None for row in self.shown for value in row)

    def row_name(self, after: int) -> str:
        """Return the name of a matrix row in tables and plots."""
        if after == 0:
            return "random network"
        return "after all tasks" if self.at_once else f"after task {after}"

    def cost(self) -> Json:
        """Return the content of reports/cost.json.

        Forward passes are relative to task 1, which is fine-tuning for every strategy.
        """
        base = self.timings[0].forward_passes
        later = [timing.forward_passes for timing in self.timings[1:]]
        seconds = [timing.seconds + timing.look_back_seconds for timing in self.timings]
        return {
            "training_seconds": round(sum(seconds), 1),
            "forward_passes": round(sum(later) / len(later) / base, 2) if later else 1.0,
            "strategy_bytes": max(timing.strategy_bytes for timing in self.timings),
            "carried_bytes": max(timing.carried_bytes for timing in self.timings),
        }

    def metrics(self) -> Json:
        """Return the content of reports/metrics.json, the headline metrics."""
        return {
            "average_accuracy": _rounded(average_accuracy(self.matrix)),
            "forgetting": _rounded(self.by_task(forgetting, self.matrix)),
            "forward_transfer": _rounded(self.by_task(forward_transfer, self.matrix)),
            "plasticity": _rounded(self.by_task(plasticity, self.matrix)),
            "stability": _rounded(self.by_task(stability, self.matrix)),
            "cka": _rounded(self.cka()),
            "headline": self.headline,
        }

    def by_task(self, metric: Callable[[Matrix], float | None], matrix: Matrix) -> float | None:
        """Return a metric that compares tasks; None if all tasks share a test set."""
        return None if shared_test(self.splits) else metric(matrix)

    def cka(self) -> float | None:
        """Return the mean linear CKA of consecutive trained states on tasks already learnt.

        None if there are no two trained states, or if features do not vary.
        """
        found = [change.learnt for change in self.changes[1:]]
        known = [value for value in found if value is not None]
        whole = len(known) == len(found) or self.gone
        return sum(known) / len(known) if known and whole else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def read_results(plan: ReportPlan) -> Results:
    """The results of the planned run.

    Raises:
        PipelineError: an evaluation, its features, a split, a log or a timing is missing or
            unreadable.
    """
    params = dict(plan.params)
    num_tasks = get_typed(params, int, "num_tasks")
    found = read_rows(plan)
    epochs: list[dict[str, str]] = []
    timings = []
    for task in range(1, len(found)):  # 1 alone where all tasks are learnt at once
        timing, rows = read_training_log(task)
        timings.append(timing)
        epochs += rows
    splits = read_splits(num_tasks)
    return Results(
        params=params,
        matrix=_rows(found, num_tasks, lambda evaluation: evaluation.accuracy),
        headline=found[0].headline,
        probes={name: _probed(found, num_tasks, name) for name in _probe_names(params)},
        ranks=_rows(found, num_tasks, lambda evaluation: evaluation.rank),
        changes=list_changes(found, num_tasks),
        splits=splits,
        epochs=epochs,
        timings=timings,
        class_names=found[-1].class_names,
        protocol=plan.protocol,
        gone=read_gone(),
        row_classes=[len(evaluation.class_names) for evaluation in found],
    )


def read_rows(plan: ReportPlan) -> Sequence[Evaluation]:
    """The evaluation of each state of the planned run, from the random network on.

    Raises:
        RunError: one is missing, or they are of another run.
    """
    rows = read_evaluations(plan.evaluation).rows
    if [row.after_task for row in rows] != list(range(plan.last_state + 1)):
        raise RunError(
            f"{layout.EVALUATIONS} lacks the evaluation of a state; run `cassle evaluate`"
        )
    return rows


def _probe_names(params: Json) -> Sequence[str]:
    return get_typed(params, tuple[str, ...], "evaluation", "probes")


def _probed(evaluations: Sequence[Evaluation], num_tasks: int, name: str) -> Probed:
    return Probed(
        _rows(evaluations, num_tasks, lambda each: each.probes[name].task_agnostic),
        _rows(evaluations, num_tasks, lambda each: each.probes[name].task_aware),
    )


def _rows(
    evaluations: Sequence[Evaluation], num_tasks: int, choose: Callable[[Evaluation], ByTask]
) -> Cells:
    """One row an evaluation, one number a task; None for a task that was not measured."""
    tasks = [str(task) for task in range(1, num_tasks + 1)]
    return [[choose(evaluation).get(task) for task in tasks] for evaluation in evaluations]
