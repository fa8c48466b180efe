"""Read the splits that ``prepare`` left."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from pipeline import layout
from pipeline.data.source import PARTS
from pipeline.errors import DataError, shorten
from pipeline.files.sealed_json import Json, digest, read_sealed

FIRST = "run `cassle prepare` first"


def read_split(task: int) -> Json:
    """Return what a task holds.

    Raises:
        DataError: there is no such split, or it cannot be read or be right.
    """
    split = read_sealed(layout.split(task), DataError, FIRST)
    if split is None:
        raise DataError(f"{layout.split(task)} is empty; {REMEDY}")
    check_split(split, task, layout.split(task))
    return split


def split_digest(task: int) -> str | None:
    """Return the SHA-256 of a task's split as a state's header has it; None if it is missing.

    Raises:
        DataError: the split is damaged.
    """
    return digest(read_split(task)) if layout.split(task).is_file() else None


def read_splits(num_tasks: int) -> list[Json]:
    """Return what all tasks hold, as one run of ``prepare`` has cut them.

    The index stands for all splits among the dependencies of a stage that reads all of them.

    Raises:
        DataError: a split or the index is missing, cannot be read or be right; or a split is
            not the one that the index names.
    """
    splits = [read_split(task) for task in range(1, num_tasks + 1)]
    index = read_sealed(layout.SPLIT_INDEX, DataError, FIRST) or {}
    for task, split in enumerate(splits, start=1):
        if index.get(str(task)) != digest(split):
            raise DataError(
                f"{layout.split(task)} is not the split that {layout.SPLIT_INDEX} names; {REMEDY}"
            )
    return splits


def index_of(splits: list[Json]) -> Json:
    """Return what the index holds: the SHA-256 of each task's split, by the task's number."""
    return {str(task): digest(split) for task, split in enumerate(splits, start=1)}


REMEDY = "run `cassle prepare` again"


def check_split(split: Json, task: int, path: Path) -> None:
    """Check that a split is one of a task, apart from any images.

    Raises:
        DataError: a key is missing, or holds what no split can hold.
    """

    def require(holds: bool, problem: str) -> None:
        if not holds:
            raise DataError(f"{path} is no split of task {task}: {problem}; {REMEDY}")

    found = split.get("task")
    require(type(found) is int and found == task, f"it says task {shorten(found)}")
    for key in ("scenario", "dataset"):
        require(isinstance(split.get(key), str), f"{key} is {shorten(split.get(key))}")
    fingerprint = split.get("fingerprint")
    known = isinstance(fingerprint, dict) and all(
        isinstance(fingerprint.get(part), str) for part in PARTS
    )
    require(known, f"fingerprint is {shorten(fingerprint)}")
    for key in ("classes", *PARTS):
        numbers = split.get(key)
        # Without labels there are no classes, and nothing need be tested.
        may_be_empty = key == "classes" or (key == "test" and not split["classes"])
        if not isinstance(numbers, list) or not (numbers or may_be_empty):
            raise DataError(
                f"{path} is no split of task {task}: {key} is {shorten(numbers)}, expected a list "
                f"of numbers; {REMEDY}"
            )
        wrong = [number for number in numbers if type(number) is not int or number < 0]
        require(not wrong, f"{key} holds {shorten(wrong[0] if wrong else None)}")
        require(len(set(numbers) if not wrong else ()) == len(numbers), f"{key} holds one twice")
    names, classes = split.get("class_names"), split["classes"]
    named = isinstance(names, list) and all(isinstance(name, str) for name in names)
    require(named, f"class_names is {shorten(names)}")
    assert isinstance(names, list), "checked above"
    assert isinstance(classes, list), "checked above"
    require(len(names) == len(classes), f"{len(names)} names for {len(classes)} classes")


def shared_test(splits: Sequence[Json]) -> bool:
    """Return whether every task is tested on the same images."""
    return splits[0]["scenario"] == "data"


def class_names(splits: Sequence[Json]) -> list[str]:
    """Return the names of all classes of the stream, by label."""
    found: dict[int, str] = {}
    for split in splits:
        labels, names = cast(list[int], split["classes"]), cast(list[str], split["class_names"])
        found |= dict(zip(labels, names, strict=True))
    return [found[label] for label in sorted(found)]


def learnt_from(task: int) -> Json:
    """Return what the header of the state after a task says of the splits it has learnt from.

    Raises:
        DataError: a split is damaged.
    """
    splits = [split_digest(number) for number in range(1, task + 1)]
    return {"split": splits[-1], "task_order": splits}
