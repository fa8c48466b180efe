"""The runs of a sweep, all of them checked before any starts."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipeline.artifacts.plans.files import plan_digest
from pipeline.config.chain import require_slots
from pipeline.config.messages import MAX_PROBLEMS, explain_problems
from pipeline.config.outside_folders import list_outside, require_apart
from pipeline.config.overrides import (
    Overrides,
    apply_override,
    flatten,
    has_key,
    name_experiment,
    write_override,
)
from pipeline.config.params import Params, validate_params
from pipeline.config.presets import read_values
from pipeline.config.read import read_params_text
from pipeline.config.resolve import resolve
from pipeline.config.stream import count_tasks
from pipeline.config.sweep_file import SweepFile, list_combinations
from pipeline.config.yaml_text import read_mapping
from pipeline.errors import ParamsError, PipelineError
from pipeline.files.sealed_json import digest


@dataclass(frozen=True)
class SweepRun:
    """One run of a sweep.

    Attributes:
        name: of its experiment.
        overrides: what ``dvc exp run -S`` is given, in this order.
        trainings: a digest for each task, of all that its training is made from: runs that agree
            in one share it.
        folders: of images that it reads, as paths from here.
    """

    name: str
    overrides: tuple[str, ...]
    trainings: tuple[str, ...]
    folders: tuple[str, ...]


def list_runs(sweep: SweepFile, source: str, params: Path) -> list[SweepRun]:
    """Return the runs of a sweep; all were checked.

    Args:
        sweep: the sweep.
        source: its name in messages.
        params: the params file that runs override.

    Raises:
        ParamsError: combinations are invalid. Each problem has a line, which says how many runs
            have it.
    """
    base = read_mapping(read_params_text(params), str(params))
    try:
        combinations = list(list_combinations(sweep))
        presets = {name: dict(flatten(read_values(name))) for name in sweep.presets}
    except ParamsError as error:
        raise ParamsError(
            "\n".join(f"{source}: {line}" for line in str(error).split("\n"))
        ) from error
    runs: list[SweepRun] = []
    known: dict[str, str] = {}
    problems: dict[str, list[str]] = {}
    for preset, given in combinations:
        overrides = {**presets.get(preset or "", {}), **dict(flatten(given))}
        name = name_experiment({**({"preset": preset} if preset else {}), **given})
        found = _check(base, overrides)
        if isinstance(found, list):
            for problem in found:
                problems.setdefault(problem, []).append(name)
            continue
        first = known.setdefault(digest(found.model_dump(mode="json")), name)
        if len(known) > len(runs):
            runs.append(_make_run(name, overrides, base, found))
        else:
            also = "" if first == name else f", also as {first}"
            twice = problems.setdefault(f"this run is given twice{also}; leave one out", [])
            twice += [name] if name not in twice else []
    if problems:
        raise ParamsError("\n".join(_describe(source, problems)))
    return runs


def _check(base: Mapping[Any, Any], overrides: Overrides) -> list[str] | Params:
    """Return params with overrides, or what is wrong with them."""
    values = deepcopy(dict(base))
    try:
        for key, value in overrides.items():
            apply_override(values, key, value)
        params = validate_params(values)
        require_apart(params)
        require_slots(count_tasks(params))
    except ValidationError as error:
        return explain_problems(error, values)
    except PipelineError as error:
        return str(error).split("\n")
    return params


def _make_run(name: str, overrides: Overrides, base: Mapping[Any, Any], params: Params) -> SweepRun:
    plans = resolve(params)
    # Each training depends on data/splits/online.json too, which names these two plans.
    beside = (plans.online, plans.probing)
    first = [
        plan_digest(plans.prepare),
        *(None if plan is None else plan_digest(plan) for plan in beside),
    ]
    trainings = [digest([*first, plan_digest(plan)]) for plan in plans.train.values()]
    written = [
        write_override(key, value, known=has_key(base, key)) for key, value in overrides.items()
    ]
    folders = (params.data.root, *list_outside(params))
    return SweepRun(name, tuple(written), tuple(trainings), folders)


def _describe(source: str, problems: Mapping[str, list[str]]) -> list[str]:
    lines = []
    for problem, names in list(problems.items())[:MAX_PROBLEMS]:
        where = names[0] if len(names) == 1 else f"{len(names)} runs, the first {names[0]}"
        lines.append(f"{source}: {problem} (in {where})")
    more = len(problems) - MAX_PROBLEMS
    return [*lines, f"{source}: {more} more problems"] if more > 0 else lines
