"""Rows of the documents' tables of results, made from a file of runs."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from pipeline.metrics.estimates import estimate, paired_difference, pooled_difference
from pipeline.metrics.ordering import bootstrap_places
from pipeline.reporting.comparing.comparison_tables import (
    format_difference,
    format_number,
)
from tests.support.params import ROOT

# The unit and the decimals of what a run costs; all else is in percent.
COSTS = {"training_cpu_seconds": (1, 0), "strategy_bytes": (1e6, 2)}
NONE = "–"
Key = tuple[str, ...]
Groups = dict[Key, pd.DataFrame]


def read_runs(file: str, names: list[str]) -> Groups:
    """Return the runs of each row, by seed."""
    runs = pd.read_csv(ROOT / file, na_values=[""], keep_default_na=False)
    rows = runs.groupby(names, sort=False)
    return {tuple(map(str, key)): group.set_index("seed") for key, group in rows}


def describe_row(groups: Groups, key: Key, before: Key, columns: Sequence[str]) -> list[str]:
    """Return the cells of a row.

    Args:
        groups: the runs of each row.
        key: the row's name.
        before: the name of the row that it is compared with.
        columns: what the cells say. The name of a metric: its mean and deviation; of a cost: its
            mean. With a word before it: ``difference`` to the other row with its interval, ``wins``
            likewise with the pairs in which it is better, ``before``: the other row's mean and
            deviation, ``best``: the difference to the row of the highest mean, ``place`` among the
            means, and from where to where 95 % of the draws have it. Rows that learn all tasks at
            once have no place.
    """
    cells = []
    for column in columns:
        kind, _, metric = column.rpartition(" ")
        own, other = groups[key], groups[before]
        if kind == "place":
            cells.append(_describe_place(groups, key, metric))
        elif kind == "best":
            cells.append(_compare_with_best(groups, key, metric))
        elif kind == "before":
            cells.append(_describe_mean(other, metric))
        elif kind:
            cells.append("" if key == before else _compare(kind, metric, own, other))
        else:
            cells.append(_describe_mean(own, metric))
    return cells


def describe_all(
    groups: Groups, pairs: Sequence[tuple[Key, Key]], columns: Sequence[str]
) -> list[str]:
    """Return the cells of a row over several pairs of rows, as ``cassle compare`` has it.

    Args:
        groups: the runs of each row.
        pairs: names of rows and of those that they are compared with.
        columns: as ``describe_row`` takes them; those without differences are left empty.
    """
    cells = []
    for column in columns:
        kind, _, metric = column.rpartition(" ")
        seeds = groups[pairs[0][0]].index
        found = pooled_difference(
            [
                [(groups[a][metric][seed], groups[b][metric][seed]) for a, b in pairs]
                for seed in seeds
            ]
        )
        cells.append(format_difference(metric, found, len(seeds)) if kind == "wins" else "")
    return cells


def _describe_mean(runs: pd.DataFrame, column: str) -> str:
    if column in COSTS:
        unit, decimals = COSTS[column]
        if runs[column].isna().all():
            return NONE
        return f"{runs[column].mean() / unit:.{decimals}f}"
    found = estimate(runs[column].dropna().tolist())
    if found is None:
        return NONE
    spread = "" if found.deviation is None else f" ± {format_number(column, found.deviation)}"
    return f"{format_number(column, found.mean)}{spread}"


def _list_in_turn(groups: Groups) -> list[Key]:
    """The rows whose strategies learn one task after another."""
    return [key for key in groups if "offline" not in key]


def _describe_place(groups: Groups, key: Key, metric: str) -> str:
    ordered = _list_in_turn(groups)
    if key not in ordered:
        return NONE
    places = bootstrap_places([groups[each][metric].tolist() for each in ordered], True)
    found = places[ordered.index(key)]
    return f"{found.place:g} [{found.low:g}, {found.high:g}]"


def _compare_with_best(groups: Groups, key: Key, metric: str) -> str:
    ordered = _list_in_turn(groups)
    best = max(ordered, key=lambda each: groups[each][metric].mean())
    if key not in ordered or key == best:
        return NONE
    return _compare("difference", metric, groups[key], groups[best])


def _compare(kind: str, metric: str, own: pd.DataFrame, other: pd.DataFrame) -> str:
    assert own.index.equals(other.index), "the seeds are not the same"
    pairs = pd.DataFrame({"own": own[metric], "other": other[metric]}).dropna()
    found = paired_difference(list(pairs.itertuples(index=False, name=None)))
    if kind == "wins":
        return format_difference(metric, found, len(own))
    assert kind == "difference"
    if found is None:
        return NONE
    said = f"{found.mean:+.2f}"
    if found.interval is not None:
        said += " [{:+.2f}, {:+.2f}]".format(*found.interval)
    return said.replace("-", "−")
