"""State 0 beside the runs of a table: a row of its own, and who ends below it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pipeline.metrics.accuracy_matrix import average_measured
from pipeline.reporting.below_random import (
    describe_shortfalls,
    find_shortfalls,
    suggest_remedies,
)
from pipeline.reporting.comparing.run_groups import RunCell, RunGroup
from pipeline.reporting.comparing.runs import Run
from pipeline.reporting.start import name_start

ANY_METHOD = "–"
MOST_NAMED = 6  # runs; of more, the number


def list_random_cells(group: RunGroup) -> list[RunCell]:
    """Return state 0 as runs, a seed each; one of each method if these differ."""
    by_method: dict[str, RunCell] = {}
    for cell in group.cells:
        start = name_start(next(iter(cell.runs.values())).params)
        new = RunCell(cell.method, start, cell.settings, {})
        found = by_method.setdefault(cell.method, new)
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
    """Return notes on the runs that end below state 0, one for each kind of it; may be none."""
    said: dict[str, list[str]] = {}
    for run in runs:
        start, found = name_start(run.params), find_shortfalls(run.matrix)
        if found is not None:
            described = describe_shortfalls(found, run.say_task, start)
            said.setdefault(start, []).append(f"{run.name} ({described})")
    notes = []
    for start, named in said.items():
        more = [f"{len(named) - MOST_NAMED} more"] if len(named) > MOST_NAMED else []
        notes.append(
            f"Training has made worse features than the {start}'s: "
            f"{'; '.join([*named[:MOST_NAMED], *more])}. {suggest_remedies(start)}"
        )
    return notes


def _read_random(run: Run) -> Run:
    """Return what a run holds of state 0; all metrics but A are undefined."""
    return replace(run, metrics={"average_accuracy": average_measured(run.matrix[0])}, cost=None)
