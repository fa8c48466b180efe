"""Accuracies and metrics of one state, from evaluations of the current plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.artifacts.evaluation import REMEDY, read_evaluations
from pipeline.artifacts.labelled_set import LabelledSet
from pipeline.artifacts.plans.report import ReportPlan
from pipeline.errors import PipelineError, RunError
from pipeline.files.sealed_json import Json
from pipeline.files.typed_json import get_typed
from pipeline.reporting.results_reading import read_results


@dataclass(frozen=True)
class StateMetrics:
    """Accuracies and metrics of a state.

    Attributes:
        accuracy: the accuracy on each task's test images, in percent, None for a task that
            was not measured; None without evaluation.
        metrics: the metrics of the whole stream; None except for its last state.
        missing: the reason of each field that is None.
        gone: the tasks whose images were no longer here at the evaluation.
        labelled: the images of the evaluation, where they are none of the tasks'.
        start: the accuracies of state 0, in the same order; None if not measured.
    """

    accuracy: list[float | None] | None
    metrics: Json | None
    missing: list[str]
    gone: Sequence[int] = ()
    labelled: LabelledSet | None = None
    start: list[float | None] | None = None


def read_state_metrics(plan: ReportPlan, after_task: int) -> StateMetrics:
    """Return the metrics of the state after a task, only from evaluations of this plan.

    Args:
        plan: of the report.
        after_task: 0 is what the stream starts from.
    """
    missing: list[str] = []
    accuracy = metrics = labelled = start = None
    gone: Sequence[int] = ()
    tasks = range(1, get_typed(dict(plan.params), int, "num_tasks") + 1)
    try:
        evaluations = read_evaluations(plan.evaluation)
        rows, labelled = evaluations.rows, evaluations.labelled
        found = next((row for row in rows if row.after_task == after_task), None)
        if found is None:
            raise RunError(f"state {after_task} was not evaluated; {REMEDY}")
        accuracy, gone = [found.accuracy.get(str(task)) for task in tasks], found.gone
        untrained = next((row for row in rows if row.after_task == 0), None)
        if untrained is not None:
            start = [untrained.accuracy.get(str(task)) for task in tasks]
    except PipelineError as reason:
        missing.append(str(reason))
    if accuracy is not None and 0 < after_task == plan.last_state:
        try:
            metrics = read_results(plan).metrics()
        except PipelineError as reason:
            missing.append(str(reason))
    return StateMetrics(accuracy, metrics, missing, gone, labelled, start)
