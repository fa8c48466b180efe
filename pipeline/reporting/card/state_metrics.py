"""What the evaluations say of one state, if they are the plan's."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.artifacts.evaluation import read_evaluation
from pipeline.artifacts.plans.report import ReportPlan
from pipeline.errors import PipelineError
from pipeline.files.sealed_json import Json
from pipeline.reporting.results import read_results


@dataclass(frozen=True)
class StateMetrics:
    """What is known of how good a state is.

    Attributes:
        accuracy: on each task's test images, in percent; None if there is no evaluation.
        metrics: of the whole stream, for its last state; None if there are none.
        missing: why something is None.
    """

    accuracy: list[float] | None
    metrics: Json | None
    missing: list[str]


def read_state_metrics(plan: ReportPlan, after_task: int) -> StateMetrics:
    """Return the figures of the state after a task; never those of another run.

    Args:
        plan: of the report.
        after_task: 0 is the random network.
    """
    missing: list[str] = []
    accuracy = metrics = None
    try:
        found = read_evaluation(after_task, plan.evaluations[after_task]).accuracy
        accuracy = [found[str(task)] for task in range(1, len(found) + 1)]
    except PipelineError as reason:
        missing.append(str(reason))
    if accuracy is not None and 0 < after_task == plan.last_state:
        try:
            metrics = read_results(plan).metrics()
        except PipelineError as reason:
            missing.append(str(reason))
    return StateMetrics(accuracy, metrics, missing)
