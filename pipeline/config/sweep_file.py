"""The file of a sweep: which params its runs change, and what each takes of a cluster."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import Field, JsonValue, Tag, ValidationError

from pipeline.config.messages import explain_problems
from pipeline.config.option_types import (
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Seed,
    name_kinds,
)
from pipeline.config.overrides import Overrides, flatten, list_empty
from pipeline.config.section import Section
from pipeline.config.yaml_text import read_file, read_mapping
from pipeline.errors import ParamsError

MAX_RUNS = 10_000


# Of an option of sbatch.
SlurmValue = Annotated[
    Annotated[str, Tag("str")] | Annotated[int, Tag("int")] | Annotated[bool, Tag("bool")],
    name_kinds("a text, a whole number, true or false"),
]


class Slurm(Section):
    """What SLURM is asked for; other options of sbatch are in ``extra``."""

    partition: str | None = None
    time: PositiveInt = 1440  # minutes, after which a run saves and is queued again
    gpus: NonNegativeInt = 0
    cpus: PositiveInt = 1
    memory: PositiveFloat | None = None  # GB
    at_once: PositiveInt = 100  # runs
    setup: list[str] = Field(default_factory=list)  # lines of shell before each run
    extra: dict[str, SlurmValue] = Field(default_factory=dict)


class SweepFile(Section):
    """A sweep: each preset with each set of ``list``, each point of ``grid``, and each seed.

    With ``own_splits`` each seed is that of the split too.
    """

    presets: list[str] = Field(default_factory=list)
    sets: list[dict[str, JsonValue]] = Field(default_factory=list, alias="list")
    grid: dict[str, Annotated[list[JsonValue], Field(min_length=1)]] = Field(default_factory=dict)
    seeds: list[Seed] = Field(default_factory=list)
    own_splits: bool = False
    slurm: Slurm = Slurm()


def read_sweep(path: Path) -> SweepFile:
    """Return a sweep, read from its file.

    Raises:
        ParamsError: it is missing, not YAML or invalid; one line for each problem.
    """
    what = "name the file of a sweep"
    text = read_file(path, what, f"{what}, as docs/scaling.md describes it")
    values = read_mapping(text, str(path))
    try:
        sweep = SweepFile.model_validate(values)
    except ValidationError as error:
        problems = explain_problems(error, values, SweepFile)
        raise ParamsError("\n".join(f"{path}: {line}" for line in problems)) from error
    if not (sweep.presets or sweep.sets or sweep.grid or sweep.seeds):
        raise ParamsError(f"{path} names no runs; give it presets, list, grid or seeds")
    return sweep


def list_combinations(sweep: SweepFile) -> Iterator[tuple[str | None, Overrides]]:
    """Yield the preset and the overrides of each run, seeds last.

    Raises:
        ParamsError: a key is given twice, a section is empty, or there are too many runs.
    """
    problems = [f"{key} is given twice; leave one of them out" for key in _list_twice(sweep)]
    problems += [
        f"{key} is a section without values, which overrides nothing; give it some, or leave it out"
        for key in _list_empty(sweep)
    ]
    if problems:
        raise ParamsError("\n".join(problems))
    presets: list[str | None] = [*sweep.presets] or [None]
    axes: list[list[dict[str, JsonValue]]] = [sweep.sets or [{}]]
    axes += [[{key: value} for value in values] for key, values in sweep.grid.items()]
    axes += [[dict.fromkeys(_seed_keys(sweep), seed) for seed in sweep.seeds] or [{}]]
    count = math.prod(map(len, axes)) * len(presets)
    if count > MAX_RUNS:
        raise ParamsError(f"it has {count} runs, expected at most {MAX_RUNS}; split it")
    for preset, parts in itertools.product(presets, itertools.product(*axes)):
        yield preset, {key: value for part in parts for key, value in part.items()}


def _seed_keys(sweep: SweepFile) -> list[str]:
    return ["seed", "split_seed"] if sweep.own_splits else ["seed"]


def _list_empty(sweep: SweepFile) -> list[str]:
    """Return the dotted keys of sections that hold nothing."""
    given: list[dict[str, JsonValue]] = [*sweep.sets]
    given += [{key: value} for key, values in sweep.grid.items() for value in values]
    return list(dict.fromkeys(key for each in given for key in list_empty(each)))


def _list_twice(sweep: SweepFile) -> list[str]:
    """Return the dotted keys that one run would be given twice, in whatever way each is written."""
    sets = [Counter(key for key, _ in flatten(each)) for each in sweep.sets]
    within = [key for keys in sets for key, count in keys.items() if count > 1]
    axes = [{key for keys in sets for key in keys}]
    axes += [
        {key for value in values for key, _ in flatten({name: value})}
        for name, values in sweep.grid.items()
    ]
    axes += [set(_seed_keys(sweep))] if sweep.seeds else []
    across = Counter(key for axis in axes for key in sorted(axis))
    return list(dict.fromkeys([*within, *(key for key, count in across.items() if count > 1)]))
