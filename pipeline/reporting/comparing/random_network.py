"""The random network beside the runs of a table: a row of its own, and who ends below it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pipeline.metrics.accuracy_matrix import average_measured
from pipeline.reporting.below_random import WHAT_HELPS, describe_shortfalls, find_shortfalls
from pipeline.reporting.comparing.run_groups import RunCell, RunGroup
from pipeline.reporting.comparing.runs import Run

RANDOM = "random network"
ANY_METHOD = "–"
MOST_NAMED = 6  # runs; of more, the number


def list_random_cells(group: RunGroup) -> list[RunCell]:
    """Return the random network as runs, a seed each; one of each method if these differ."""
    by_method: dict[str, RunCell] = {}
    for cell in group.cells:
        found = by_method.setdefault(cell.method, RunCell(cell.method, RANDOM, cell.settings, {}))
        for seed, run in cell.runs.items():
            found.runs.setdefault(seed, _read_random(run))
    cells = list(by_method.values())
    known: dict[int, Run] = {}
    for cell in cells:
        for seed, run in cell.runs.items():
            if known.setdefault(seed, run).metrics != run.metrics:
                return cells
    return [replace(cells[0], method=ANY_METHOD, runs=dict(sorted(known.items())))]


def note_shortfalls(runs: Sequence[Run]) -> list[str]:
    """Return a note on the runs that end below the random network; none if none does."""
    said = [
        f"{run.name} ({describe_shortfalls(found, run.say_task)})"
        for run in runs
        if (found := find_shortfalls(run.matrix)) is not None
    ]
    if not said:
        return []
    more = [f"{len(said) - MOST_NAMED} more"] if len(said) > MOST_NAMED else []
    named = "; ".join([*said[:MOST_NAMED], *more])
    return [f"Training has made worse features than the random network's: {named}. {WHAT_HELPS}"]


def _read_random(run: Run) -> Run:
    """Return what a run holds of the random network; all metrics but A are undefined."""
    return replace(run, metrics={"average_accuracy": average_measured(run.matrix[0])}, cost=None)
