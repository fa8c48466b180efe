"""Means over seeds, and paired differences to a baseline on shared seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.errors import RunError, closest
from pipeline.metrics.estimates import Difference, Estimate, estimate, paired_difference
from pipeline.reporting.comparing.group_titles import title_groups
from pipeline.reporting.comparing.measured_cells import remark_on_measured
from pipeline.reporting.comparing.random_network import list_random_cells, note_shortfalls
from pipeline.reporting.comparing.run_groups import GroupedRuns, RunCell, RunGroup
from pipeline.reporting.comparing.runs import Run
from pipeline.reporting.comparing.settings import differing_params, format_settings, name_protocol
from pipeline.reporting.start import name_start

DEFAULT_BASELINE = "finetune"
COSTS = (
    "training_seconds",
    "training_cpu_seconds",
    "forward_passes",
    "images_backward",
    "strategy_bytes",
)


@dataclass(frozen=True)
class Row:
    """One row of a comparison: the estimates of a run cell.

    Attributes:
        cell: its runs.
        method_options: the options in which it differs from other cells of its method.
        strategy_options: the options in which it differs from other cells of its strategy.
        metrics: estimates by metric; None if it is undefined in all runs.
        costs: estimates by cost; None if no run has it.
        baseline: the cell to compare with; None without baseline.
        differences: differences to the baseline, by metric.
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
        """The seeds that the cell and its baseline share."""
        other = {} if self.baseline is None else self.baseline.runs
        return [seed for seed in self.cell.runs if seed in other]


@dataclass(frozen=True)
class ComparisonTable:
    """A table of comparable rows: the same images, splits and shared params.

    Attributes:
        title: the data set, the stream, and the params that differ from other tables.
        rows: one a cell.
        protocol: how the accuracies of its runs were measured, in a few words.
    """

    title: str
    rows: list[Row]
    protocol: str


@dataclass(frozen=True)
class Comparison:
    """A comparison of runs.

    Attributes:
        metrics: the names of the metrics, in order.
        baseline: the strategy that others are compared with; None if no run has it.
        tables: one for each combination of shared params, images and splits.
        notes: remarks for the reader, a sentence each.
        protocols: how the accuracies of the runs were measured, a few words each.
        left_out: what was not compared and why, a sentence each.
    """

    metrics: list[str]
    baseline: str | None
    tables: list[ComparisonTable]
    notes: list[str]
    protocols: Sequence[str] = ()
    left_out: Sequence[str] = ()

    @property
    def remarks(self) -> list[str]:
        """What was left out, and all other remarks."""
        return [*self.left_out, *self.notes]


def compare_runs(grouped: GroupedRuns, metrics: Sequence[str], baseline: str | None) -> Comparison:
    """Return the comparison of all runs.

    Args:
        grouped: the runs, grouped.
        metrics: names of metrics in metrics.json.
        baseline: the strategy to compare with; None: fine-tuning, if a run has it.

    Raises:
        RunError: no run has a metric, or no run has the given baseline.
    """
    cells = [cell for group in grouped.groups for cell in group.cells]
    runs = [run for cell in cells for run in cell.runs.values()]
    _require_metrics(runs, metrics)
    chosen = _choose_baseline(list(dict.fromkeys(cell.strategy for cell in cells)), baseline)
    notes = _notes(grouped, chosen)
    tables = []
    for group, title in zip(grouped.groups, title_groups(grouped.groups), strict=True):
        where = f" in '{title}'" if len(grouped.groups) > 1 else ""
        rows = []
        for cell in group.cells:
            base = _find_baseline(cell, group, chosen)
            if isinstance(base, str):
                notes.append(f"No difference for {cell.method}, {cell.strategy}{where}: {base}.")
            rows.append(_row(cell, base if isinstance(base, RunCell) else None, cells, metrics))
        rows += [_describe_random(cell, metrics) for cell in list_random_cells(group)]
        in_table = [run for cell in group.cells for run in cell.runs.values()]
        matrices = {run.name: run.matrix for run in in_table}
        starts = {run.name: name_start(run.params) for run in in_table}
        # Runs of earlier versions do not know the names.
        named = max(in_table, key=lambda run: len(run.tasks))
        notes += remark_on_measured(matrices, starts, where, named.say_task)
        # Runs of other headline probes are of another table.
        tables.append(ComparisonTable(title, rows, name_protocol(in_table[0].params)))
    notes += note_shortfalls(runs)
    for name in metrics:
        lacking = [run.name for run in runs if name not in run.metrics]
        if lacking:
            notes.append(f"Made before there was a {name}: {', '.join(lacking)}.")
    protocols = list(dict.fromkeys(table.protocol for table in tables))
    copies = [f"The same run, counted once: {', '.join(names)}." for names in grouped.copies]
    return Comparison(list(metrics), chosen, tables, notes, protocols, copies)


def _choose_baseline(strategies: Sequence[str], asked: str | None) -> str | None:
    if asked is not None and asked not in strategies:
        raise RunError(
            f"--baseline: no run has the strategy '{asked}'; {closest(asked, strategies)}"
        )
    return asked or (DEFAULT_BASELINE if DEFAULT_BASELINE in strategies else None)


def _notes(grouped: GroupedRuns, baseline: str | None) -> list[str]:
    """Return the remarks on all tables together."""
    notes = []
    if len(grouped.groups) > 1:
        notes.append(
            "Each table holds runs of the same shared params, images and splits. Tables are never "
            "averaged together, and no difference goes from one to another."
        )
    if baseline is None and len({c.strategy for group in grouped.groups for c in group.cells}) > 1:
        notes.append(
            f"No differences: no run has the strategy {DEFAULT_BASELINE}; choose another with "
            "--baseline."
        )
    return notes


def numeric_metrics(runs: Sequence[Run]) -> list[str]:
    """Return the names of the metrics that are a number or undefined in all runs."""
    names = dict.fromkeys(name for run in runs for name in run.metrics)
    return [n for n in names if not any(isinstance(run.metrics.get(n), str) for run in runs)]


def _require_metrics(runs: Sequence[Run], metrics: Sequence[str]) -> None:
    known = numeric_metrics(runs)
    for name in metrics:
        if name not in known:
            raise RunError(
                f"--metric: '{name}' is no number in a run's metrics.json; {closest(name, known)}"
            )


def _row(
    cell: RunCell, base: RunCell | None, cells: Sequence[RunCell], metrics: Sequence[str]
) -> Row:
    values = {name: cell.list_metric(name) for name in metrics}
    of_method = [other.settings.method for other in cells if other.method == cell.method]
    of_strategy = [other.settings.strategy for other in cells if other.strategy == cell.strategy]
    return Row(
        cell,
        format_settings(cell.settings.method, differing_params(of_method)),
        format_settings(cell.settings.strategy, differing_params(of_strategy)),
        {name: estimate(list(found.values())) for name, found in values.items()},
        {name: estimate(cell.list_cost(name)) for name in COSTS},
        base,
        {
            name: None if base is None else paired_difference(_pairs(found, base.list_metric(name)))
            for name, found in values.items()
        },
    )


def _describe_random(cell: RunCell, metrics: Sequence[str]) -> Row:
    values = {name: estimate(list(cell.list_metric(name).values())) for name in metrics}
    return Row(cell, "", "", values, dict.fromkeys(COSTS), None, dict.fromkeys(metrics))


def _pairs(ours: dict[int, float], theirs: dict[int, float]) -> list[tuple[float, float]]:
    return [(value, theirs[seed]) for seed, value in ours.items() if seed in theirs]


def _find_baseline(cell: RunCell, group: RunGroup, name: str | None) -> RunCell | str | None:
    """Return the baseline's cell of the same method and options, or the reason if there is none.

    None for the baseline itself, and without any baseline.
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
