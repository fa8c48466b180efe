"""The ledger's entries: results that were published, and results of runs of presets.

Both stand in CSV files, a line each. Accuracies are in percent.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from pipeline.errors import RunError, explain_unreadable, shorten
from pipeline.files.csv_tables import read_csv, write_csv


@dataclass(frozen=True)
class Published:
    """A published result: the final average accuracy A of a recipe.

    Attributes:
        preset: the recipe: data set, scenario, tasks and method.
        strategy: against forgetting.
        protocol: the probe that corresponds to how it was measured.
        accuracy: A in percent.
        seeds: of how many runs it is the mean; empty: not known here.
        paper: where it was published.
        place: where in it.
    """

    preset: str
    strategy: str
    protocol: str
    accuracy: float
    seeds: str
    paper: str
    place: str


@dataclass(frozen=True)
class Reproduced:
    """The result of a run of a preset.

    Attributes:
        preset: the recipe.
        strategy: against forgetting.
        protocol: the probe.
        cut: what decided which classes or images each task holds.
        seed: of the run.
        accuracy: A in percent.
        hours: that training took, all tasks together.
        hardware: that trained it.
        code: the commit.
    """

    preset: str
    strategy: str
    protocol: str
    cut: str
    seed: int
    accuracy: float
    hours: float
    hardware: str
    code: str


def read_published(path: Path) -> list[Published]:
    """Return the published results in a file.

    Raises:
        RunError: it is missing, or a line of it is not right.
    """
    return [
        Published(**_texts(row, "accuracy"), accuracy=_accuracy(row))
        for row in _read(path, Published)
    ]


def read_reproduced(path: Path) -> list[Reproduced]:
    """Return the results of runs in a file.

    Raises:
        RunError: as ``read_published``.
    """
    return [
        Reproduced(
            **_texts(row, "accuracy", "seed", "hours"),
            accuracy=_accuracy(row),
            seed=int(row["seed"]),
            hours=float(row["hours"]),
        )
        for row in _read(path, Reproduced)
    ]


def write_reproduced(path: Path, entries: Sequence[Reproduced]) -> None:
    """Write the results of runs.

    Raises:
        RunError: the file cannot be written.
    """
    write_csv(path, _columns(Reproduced), [asdict(entry) for entry in entries])


def add_entries(
    held: Sequence[Reproduced], new: Sequence[Reproduced]
) -> tuple[list[Reproduced], list[Reproduced]]:
    """Return all entries in order, and those held before that new ones replace.

    Args:
        held: what the ledger has.
        new: of one preset, strategy, protocol, cut and seed each.
    """
    known = {_identify(entry): entry for entry in held}
    replaced = [known[key] for entry in new if (key := _identify(entry)) in known]
    known |= {_identify(entry): entry for entry in new}
    return [known[key] for key in sorted(known)], replaced


def _identify(entry: Reproduced) -> tuple[str, str, str, str, int]:
    return entry.preset, entry.strategy, entry.protocol, entry.cut, entry.seed


def _columns(kind: type[Published] | type[Reproduced]) -> list[str]:
    return [field.name for field in fields(kind)]


def _read(path: Path, kind: type[Published] | type[Reproduced]) -> list[dict[str, str]]:
    """Return the rows of a file, each with all columns and nothing else, numbers checked."""
    remedy = f"restore it: git checkout {path}"
    try:
        rows = read_csv(path)
    except FileNotFoundError:
        raise RunError(f"{path} is missing; run this in the project's root, or {remedy}") from None
    except PermissionError as error:
        raise RunError(explain_unreadable(path, error)) from error
    except (OSError, ValueError, csv.Error) as error:
        raise RunError(f"{path} cannot be read ({error}); {remedy}") from error
    for line, row in enumerate(rows, start=2):
        try:
            if list(row) != _columns(kind) or None in row.values():
                raise ValueError(f"expected the columns {', '.join(_columns(kind))}")
            if not 0 <= _accuracy(row) <= 100:
                raise ValueError(f"the accuracy is {row['accuracy']}, expected percent")
            if "seed" in row and not float(row["hours"]) >= 0 <= int(row["seed"]):
                raise ValueError("seed and hours have to be 0 or more")
        except ValueError as error:
            raise RunError(f"{path}, line {line}: {shorten(str(error))}; mend it") from error
    return rows


def _accuracy(row: Mapping[str, str]) -> float:
    return float(row["accuracy"])


def _texts(row: Mapping[str, str], *numbers: str) -> dict[str, str]:
    return {name: value for name, value in row.items() if name not in numbers}
