"""The headline metrics of the page."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.files.sealed_json import Json
from pipeline.reporting.comparing.runs import Run
from pipeline.reporting.results import Results

# Name in metrics.json: title, unit, decimals, meaning.
MEANINGS = {
    "average_accuracy": ("Average accuracy A", "%", 1, "all tasks, at the end; more is better"),
    "forgetting": ("Forgetting F", "points", 1, "lost since each task's best; less is better"),
    "forward_transfer": (
        "Forward transfer FT",
        "points",
        1,
        "above the {start} before a task is learnt; more is better",
    ),
    "average_incremental_accuracy": (
        "Average incremental accuracy",
        "%",
        1,
        "mean after each task, over those learnt by then; more is better",
    ),
    "backward_transfer": (
        "Backward transfer BWT",
        "points",
        1,
        "won since each task was learnt; more is better",
    ),
    "knowledge_gain": (
        "Knowledge gain K",
        "points",
        1,
        "won on a task by learning it; more is better",
    ),
    "plasticity": (
        "Plasticity",
        "points",
        1,
        "above the {start} once a task is learnt; more is better",
    ),
    "stability": ("Stability", "%", 1, "kept of each task's best; 100 is nothing lost"),
    "consolidation": (
        "Consolidation C",
        "%",
        1,
        "told to be of their task by nearest neighbours, at the end; more is better",
    ),
    "cka": (
        "Similarity (CKA)",
        "",
        2,
        "of features before and after a task, on earlier tasks; 1 is unchanged",
    ),
}
# The meaning where a task was not measured at the end.
MEANINGS_WITH_GAPS = {"average_accuracy": "tasks measured, at the end; more is better"}


@dataclass(frozen=True)
class HeadlineMetric:
    """A headline metric as text.

    Attributes:
        title: its name and symbol.
        value: its value; empty if it is undefined.
        unit: the unit of the value.
        meaning: what it measures, and the better direction.
        other: the other run's value; None without another run.
    """

    title: str
    value: str
    unit: str
    meaning: str
    other: str | None


def headline_metrics(results: Results, against: Run | None) -> list[HeadlineMetric]:
    """Return the headline metrics of the results, in the order of ``MEANINGS``."""
    metrics = results.metrics()
    measured = all(value is not None for value in results.shown[-1])
    return [
        HeadlineMetric(
            title,
            _format(metrics, name, decimals),
            unit,
            (meaning if measured else MEANINGS_WITH_GAPS.get(name, meaning)).format(
                start=results.row_name(0)
            ),
            None if against is None else _format_other(against.metrics, name, decimals),
        )
        for name, (title, unit, decimals, meaning) in MEANINGS.items()
        if name in metrics
    ]


def _format_other(metrics: Json, name: str, decimals: int) -> str:
    if name not in metrics:
        return "not known"
    return _format(metrics, name, decimals) or "undefined"


def _format(metrics: Json, name: str, decimals: int) -> str:
    value = metrics.get(name)
    return f"{value:.{decimals}f}" if isinstance(value, int | float) else ""
