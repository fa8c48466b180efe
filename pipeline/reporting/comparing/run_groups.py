"""Groups of comparable runs, and cells of runs that differ only in the seed.

Where each seed has a split of its own (the split's seed goes with the run's), runs that differ in
both are pairs and means over both: the splits are drawn at random as the seeds are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from pipeline.config.registry.methods import METHODS
from pipeline.config.registry.strategies import STRATEGIES
from pipeline.errors import RunError
from pipeline.files.sealed_json import Json, digest, dump_json
from pipeline.files.typed_json import get_typed
from pipeline.reporting.comparing.measured_cells import agree_where_measured, measure_the_same
from pipeline.reporting.comparing.runs import Run
from pipeline.reporting.comparing.settings import Settings, Values, read_settings

OWN_SPLIT = "of each seed"  # stands for the split's seed where each run's seed has its own


@dataclass(frozen=True)
class RunCell:
    """The runs of one method, one strategy and their options, over seeds.

    Attributes:
        method: the method's name.
        strategy: the strategy's name, or names joined by "+".
        settings: the settings of all runs.
        runs: the runs by seed, in increasing order.
    """

    method: str
    strategy: str
    settings: Settings
    runs: dict[int, Run]

    def list_metric(self, name: str) -> dict[int, float]:
        """Return a metric's defined values by seed."""
        found = {seed: run.metrics.get(name) for seed, run in self.runs.items()}
        return {seed: float(v) for seed, v in found.items() if isinstance(v, int | float)}

    def list_cost(self, name: str) -> list[float]:
        """Return what the runs have of a cost in cost.json."""
        found = [run.cost.get(name) for run in self.runs.values() if run.cost is not None]
        return [float(value) for value in found if isinstance(value, int | float)]


@dataclass(frozen=True)
class RunGroup:
    """Comparable cells: the same images, splits and shared params.

    Attributes:
        shared: the shared params.
        identity: digests of the images and of the splits.
        cells: the cells in the order of the registry.
    """

    shared: Values
    identity: Json
    cells: list[RunCell]


@dataclass(frozen=True)
class GroupedRuns:
    """All runs, grouped.

    Attributes:
        groups: the groups, the one with most runs first.
        copies: the names of duplicates, a list for each run that is counted once.
    """

    groups: list[RunGroup]
    copies: list[list[str]]


def group_runs(runs: Sequence[Run]) -> GroupedRuns:
    """Group runs by settings and seed; duplicates of a run count once.

    Raises:
        RunError: runs of the same params and seed have different metrics.
    """
    same: dict[str, list[Run]] = {}
    for run in join_splits(runs):
        same.setdefault(_key(run, with_seed=True), []).append(run)
    _require_agreement(same.values())
    # Of duplicates the one with most metrics, of the latest version, is kept.
    kept = [max(copies, key=lambda run: len(run.metrics)) for copies in same.values()]
    together: dict[str, list[Run]] = {}
    for run in sorted(kept, key=lambda run: get_typed(run.params, int, "seed")):
        together.setdefault(_key(run, with_seed=False), []).append(run)
    beside: dict[str, RunGroup] = {}
    for members in together.values():
        first = members[0]
        used = read_settings(first.params)
        key = dump_json([used.shared, first.identity])
        group = beside.setdefault(key, RunGroup(used.shared, first.identity, []))
        method, strategy = (get_typed(first.params, str, key) for key in ("method", "strategy"))
        by_seed = {get_typed(run.params, int, "seed"): run for run in members}
        group.cells.append(RunCell(method, strategy, used, by_seed))
    for group in beside.values():
        group.cells.sort(key=_registry_order)
    return GroupedRuns(
        sorted(beside.values(), key=lambda group: -sum(len(cell.runs) for cell in group.cells)),
        [[run.name for run in copies] for copies in same.values() if len(copies) > 1],
    )


def join_splits(runs: Sequence[Run]) -> list[Run]:
    """Return runs without what their splits differ in, where each seed has a split of its own.

    Runs of one seed on two splits, or of two seeds on one, are returned as they are.
    """
    alike: dict[str, list[Run]] = {}
    for run in runs:
        shared = {k: v for k, v in read_settings(run.params).shared.items() if k != "split_seed"}
        alike.setdefault(dump_json([shared, run.identity["data"]]), []).append(run)
    found: list[Run] = []
    for members in alike.values():
        pairs = {
            (r.params["seed"], r.params.get("split_seed"), r.identity["splits"]) for r in members
        }
        each = [len(set(values)) for values in zip(*pairs, strict=True)]
        if len(pairs) == 1 or any(count < len(pairs) for count in each):
            found += members
            continue
        joint = {"splits": digest(sorted(str(splits) for _, _, splits in pairs))}
        found += [
            replace(
                run,
                params={**run.params, "split_seed": OWN_SPLIT},
                identity={**run.identity, **joint},
            )
            for run in members
        ]
    return found


def _key(run: Run, with_seed: bool) -> str:
    used = read_settings(run.params)
    named = [run.params["method"], run.params["strategy"]]
    seed = run.params["seed"] if with_seed else None
    return dump_json([*named, used.shared, used.method, used.strategy, run.identity, seed])


def _require_agreement(copies: Iterable[list[Run]]) -> None:
    problems = []
    for first, *others in copies:
        for other in others:
            found = _disagreement(first, other)
            if found:
                params = first.params
                problems.append(
                    f"{first.name} and {other.name} are the same run ({params['method']}, "
                    f"{params['strategy']}, seed {params['seed']}) with other metrics: {found}"
                )
    if problems:
        problems.append(
            "they were made by other code or on another machine, and no mean of them means "
            "anything; leave one out: --no-workspace, or name the runs to compare"
        )
        raise RunError("\n".join(problems))


def _disagreement(first: Run, other: Run) -> str:
    """Return the first metric that differs, as text; empty if none does.

    Accuracies count where both runs have them.
    """
    for name in sorted(first.metrics.keys() & other.metrics.keys()):
        if first.metrics[name] != other.metrics[name]:
            said = f"{name} {first.metrics[name]} and {other.metrics[name]}"
            same = measure_the_same(first, other)
            return said if same else f"{said} (not the same accuracies were measured)"
    return "" if agree_where_measured(first.matrix, other.matrix) else "the accuracy matrix"


def _registry_order(cell: RunCell) -> tuple[int, str, int, str, str]:
    methods, strategies = list(METHODS), list(STRATEGIES)
    first = cell.strategy.split("+")[0]
    return (
        methods.index(cell.method) if cell.method in methods else len(methods),
        dump_json(cell.settings.method),
        strategies.index(first) if first in strategies else len(strategies),
        cell.strategy,
        dump_json(cell.settings.strategy),
    )
