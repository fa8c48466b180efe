"""Differences to the baseline over all methods of a table together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.metrics.estimates import Difference, pooled_difference
from pipeline.reporting.comparing.comparison import ComparisonTable, Row


@dataclass(frozen=True)
class PooledRow:
    """One strategy with the same options against the baseline, over several methods.

    Attributes:
        rows: its rows that have a baseline, one a method with its options; of two methods or more.
        seeds: the seeds that all of these rows share with their baselines.
        differences: differences over the methods, by metric; None where no seed has the metric
            in all of them.
    """

    rows: Sequence[Row]
    seeds: Sequence[int]
    differences: dict[str, Difference | None]

    @property
    def name(self) -> str:
        """What stands where other rows name their method."""
        return f"all {len({row.cell.method for row in self.rows})} methods"

    def list_means(self, metric: str) -> list[float]:
        """Return the mean difference over the methods on each seed that has the metric."""
        pairs = _list_pairs(self.rows, metric, self.seeds)
        return [sum(ours - theirs for ours, theirs in each) / len(each) for each in pairs]


def pool_methods(table: ComparisonTable, metrics: Sequence[str]) -> list[PooledRow]:
    """Return each strategy's differences over the methods, in the order of the table's rows.

    Strategies that have a baseline in fewer than two methods are left out.
    """
    together: dict[tuple[str, str], list[Row]] = {}
    for row in table.rows:
        if row.baseline is not None:
            key = row.cell.strategy, str(sorted(row.cell.settings.strategy.items()))
            together.setdefault(key, []).append(row)
    pooled = []
    for rows in together.values():
        if len({row.cell.method for row in rows}) > 1:
            shared = set[int].intersection(*(set(row.shared_seeds) for row in rows))
            seeds = sorted(shared)
            found = {name: pooled_difference(_list_pairs(rows, name, seeds)) for name in metrics}
            pooled.append(PooledRow(rows, seeds, found))
    return pooled


def _list_pairs(
    rows: Sequence[Row], metric: str, seeds: Sequence[int]
) -> list[list[tuple[float, float]]]:
    """Return one pair a row for each seed on which all rows and baselines have the metric."""
    ours = [row.cell.list_metric(metric) for row in rows]
    theirs = [{} if row.baseline is None else row.baseline.list_metric(metric) for row in rows]
    return [
        [(mine[seed], other[seed]) for mine, other in zip(ours, theirs, strict=True)]
        for seed in seeds
        if all(seed in values for values in (*ours, *theirs))
    ]
