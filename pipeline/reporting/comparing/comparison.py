"""Means over the seeds, and differences to a baseline on the seeds that both have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from pipeline.errors import RunError, closest
from pipeline.metrics.estimates import Difference, Estimate, estimate, paired_difference
from pipeline.reporting.comparing.group_titles import title_groups
from pipeline.reporting.comparing.run_groups import GroupedRuns, RunCell, RunGroup
from pipeline.reporting.comparing.runs import Run
from pipeline.reporting.comparing.settings import differing_params, format_settings

DEFAULT_BASELINE = "finetune"
COSTS = ("training_seconds", "forward_passes", "strategy_bytes")


@dataclass(frozen=True)
class Row:
    """What is known of a cell.

    Attributes:
        cell: its runs.
        method_options: the options in which it differs from others of its method; may be empty.
        strategy_options: those in which it differs from others of its strategy.
        figures: by the name of the figure; None where it is undefined in all runs.
        costs: means by name; None where no run has it.
        baseline: what it is compared with; None for nothing.
        differences: to the baseline, by the name of the figure.
    """

    cell: RunCell
    method_options: str
    strategy_options: str
    metrics: dict[str, Estimate | None]
    costs: dict[str, Estimate | None]
    baseline: RunCell | None
    differences: dict[str, Difference | None]

    @property
    def shared_seeds(self) -> list[int]:
        """The seeds that the baseline has too."""
        other = {} if self.baseline is None else self.baseline.runs
        return [seed for seed in self.cell.runs if seed in other]


@dataclass(frozen=True)
class ComparisonTable:
    """Lines that can stand side by side.

    Attributes:
        title: the data set and the stream, and what tells it from other tables.
        lines: one a cell.
    """

    title: str
    rows: list[Row]


@dataclass(frozen=True)
class Comparison:
    """All of a comparison.

    Attributes:
        figures: the names of the figures, in order.
        baseline: the strategy that others are compared with; None where no run has it.
        sides: one for each choice of the shared params, the images and the splits.
        notes: what has to be known to read it, a sentence each.
    """

    metrics: list[str]
    baseline: str | None
    tables: list[ComparisonTable]
    notes: list[str]


def compare_runs(sweep: GroupedRuns, figures: Sequence[str], baseline: str | None) -> Comparison:
    """Summarise all runs.

    Args:
        sweep: the runs in their places.
        figures: names of figures in metrics.json.
        baseline: the strategy to compare with; None for fine-tuning, if there is some.

    Raises:
        RunError: no run has the figure, or the baseline was asked for and no run has it.
    """
    cells = [cell for group in sweep.groups for cell in group.cells]
    runs = [run for cell in cells for run in cell.runs.values()]
    _require_metrics(runs, figures)
    chosen = _choose_baseline(list(dict.fromkeys(cell.strategy for cell in cells)), baseline)
    notes = _notes(sweep, chosen)
    sides = []
    for group, title in zip(sweep.groups, title_groups(sweep.groups), strict=True):
        where = f" in '{title}'" if len(sweep.groups) > 1 else ""
        lines = []
        for cell in group.cells:
            base = _find_baseline(cell, group, chosen)
            if isinstance(base, str):
                notes.append(f"No difference for {cell.method}, {cell.strategy}{where}: {base}.")
            lines.append(_row(cell, base if isinstance(base, RunCell) else None, cells, figures))
        sides.append(ComparisonTable(title, lines))
    for name in figures:
        lacking = [run.name for run in runs if name not in run.metrics]
        if lacking:
            notes.append(f"Made before there was a {name}: {', '.join(lacking)}.")
    return Comparison(list(figures), chosen, sides, notes)


def _choose_baseline(strategies: Sequence[str], asked: str | None) -> str | None:
    if asked is not None and asked not in strategies:
        raise RunError(
            f"--baseline: no run has the strategy '{asked}'; {closest(asked, strategies)}"
        )
    return asked or (DEFAULT_BASELINE if DEFAULT_BASELINE in strategies else None)


def _notes(sweep: GroupedRuns, baseline: str | None) -> list[str]:
    """Return what has to be known of all tables together."""
    notes = [f"The same run, counted once: {', '.join(names)}." for names in sweep.copies]
    if len(sweep.groups) > 1:
        notes.append(
            "Each table holds runs of the same shared params, images and splits. Tables are never "
            "averaged together, and no difference goes from one to another."
        )
    if baseline is None and len({c.strategy for group in sweep.groups for c in group.cells}) > 1:
        notes.append(
            f"No differences: no run has the strategy {DEFAULT_BASELINE}; choose another with "
            "--baseline."
        )
    return notes


def numeric_metrics(runs: Sequence[Run]) -> list[str]:
    """Return the names of the figures that are numbers, or undefined, in all runs."""
    names = dict.fromkeys(name for run in runs for name in run.metrics)
    return [n for n in names if not any(isinstance(run.metrics.get(n), str) for run in runs)]


def _require_metrics(runs: Sequence[Run], figures: Sequence[str]) -> None:
    known = numeric_metrics(runs)
    for name in figures:
        if name not in known:
            raise RunError(
                f"--metric: '{name}' is no number in a run's metrics.json; {closest(name, known)}"
            )


def _row(
    cell: RunCell, base: RunCell | None, cells: Sequence[RunCell], figures: Sequence[str]
) -> Row:
    values = {name: _values(cell, name) for name in figures}
    of_method = [other.settings.method for other in cells if other.method == cell.method]
    of_strategy = [other.settings.strategy for other in cells if other.strategy == cell.strategy]
    return Row(
        cell,
        format_settings(cell.settings.method, differing_params(of_method)),
        format_settings(cell.settings.strategy, differing_params(of_strategy)),
        {name: estimate(list(found.values())) for name, found in values.items()},
        {name: estimate(_costs(cell, name)) for name in COSTS},
        base,
        {
            name: None if base is None else paired_difference(_pairs(found, _values(base, name)))
            for name, found in values.items()
        },
    )


def _pairs(ours: dict[int, float], theirs: dict[int, float]) -> list[tuple[float, float]]:
    return [(value, theirs[seed]) for seed, value in ours.items() if seed in theirs]


def _find_baseline(cell: RunCell, group: RunGroup, name: str | None) -> RunCell | str | None:
    """Return the baseline's cell of the same method with the same options, or why there is none.

    None for the baseline itself, and where there is no baseline at all.
    """
    if name is None or cell.strategy == name:
        return None
    same = [
        other
        for other in group.cells
        if other.strategy == name
        and (other.method, other.settings.method) == (cell.method, cell.settings.method)
    ]
    if not same:
        return f"no run of {name} has the same method, params, images and splits"
    if len(same) > 1:
        options = [other.settings.strategy for other in same]
        several = "; ".join(
            format_settings(values, differing_params(options)) for values in options
        )
        return f"{name} was run with several options ({several}); name the runs to compare"
    return same[0]


def _values(cell: RunCell, figure: str) -> dict[int, float]:
    """Return a figure by seed, where it is defined."""
    found = {seed: run.metrics.get(figure) for seed, run in cell.runs.items()}
    return {seed: float(cast(float, value)) for seed, value in found.items() if value is not None}


def _costs(cell: RunCell, name: str) -> list[float]:
    found = [run.cost.get(name) for run in cell.runs.values() if run.cost is not None]
    return [float(value) for value in found if isinstance(value, int | float)]
