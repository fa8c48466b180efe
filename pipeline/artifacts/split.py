"""Splits: the images of each task, one file a task, and an index of them all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline import layout
from pipeline.data.parts import PARTS, Part
from pipeline.errors import DataError, shorten
from pipeline.files.sealed_json import Json, digest, read_sealed, write_sealed
from pipeline.files.typed_json import as_json, from_json

FIRST = "run `cassle prepare` first"
REMEDY = "run `cassle prepare` again"


@dataclass(frozen=True)
class Counts:
    """Numbers of images.

    Attributes:
        all: of the part.
        classes: of each class, by name.
    """

    all: int
    classes: Mapping[str, int]


@dataclass(frozen=True)
class Split:
    """The images of one task.

    Attributes:
        task: its number, from 1.
        scenario: ``class``, ``data`` or ``domain``.
        dataset: the data set's name in params.yaml.
        fingerprint: SHA-256 of all images of the data set, by part.
        classes: the labels of its images, sorted; none where there are no labels.
        class_names: their names, in the same order.
        counts: numbers of its images, by part.
        train: indices of its training images in the data set.
        test: indices of its test images.
        domain: the name of its domain, where tasks are domains.
        skipped: numbers of images of the whole data set that cannot be read, by part.
        note: what else there is to say of the data set.
    """

    task: int
    scenario: str
    dataset: str
    fingerprint: Mapping[str, str]
    classes: Sequence[int]
    class_names: Sequence[str]
    counts: Mapping[str, Counts]
    train: Sequence[int]
    test: Sequence[int]
    domain: str | None = None
    skipped: Mapping[str, int] | None = None
    note: str | None = None

    def indices(self, part: Part) -> Sequence[int]:
        """The indices of its images in a part of the data set."""
        return self.train if part == "train" else self.test


def write_splits(splits: Sequence[Split], slots: int) -> None:
    """Write what the tasks hold, ``null`` for the slots after them, and the index.

    Raises:
        RunError: a file cannot be written.
    """
    held = [as_json(split) for split in splits]
    for task in range(1, slots + 1):
        write_sealed(layout.split(task), held[task - 1] if task <= len(held) else None)
    index: Json = {str(task): digest(split) for task, split in enumerate(held, start=1)}
    write_sealed(layout.SPLIT_INDEX, index)


def write_split_origin(plan: str) -> None:
    """Write which plan the splits are of.

    Apart from the tasks' files: a param that moves no image must not train them again.

    Args:
        plan: its digest.
    """
    write_sealed(layout.SPLIT_ORIGIN, {"plan": plan})


def require_split_origin(plan: str) -> None:
    """Check that the splits are those of a plan.

    Args:
        plan: its digest.

    Raises:
        DataError: they are of another one, or nothing says of which.
    """
    origin = read_sealed(layout.SPLIT_ORIGIN, DataError, FIRST)
    if origin is None or origin.get("plan") != plan:
        raise DataError(f"the splits in {layout.SPLITS} are of another plan; {FIRST}")


def read_split(task: int) -> Split:
    """The split of a task.

    Raises:
        DataError: there is no such split, or it cannot be read or be right.
    """
    path = layout.split(task)
    held = read_sealed(path, DataError, FIRST)
    if held is None:
        raise DataError(f"{path} is empty; {REMEDY}")
    try:
        split = from_json(Split, held)
        _check(split, task)
    except ValueError as error:
        raise DataError(f"{path} is no split of task {task}: {error}; {REMEDY}") from error
    return split


def split_digest(split: Split) -> str:
    """The SHA-256 of a split, as the headers of states and the index have it."""
    return digest(as_json(split))


def find_split_digest(task: int) -> str | None:
    """The SHA-256 of a task's split; None where it is not here.

    Raises:
        DataError: the split is damaged.
    """
    return split_digest(read_split(task)) if layout.split(task).is_file() else None


def read_splits(num_tasks: int) -> list[Split]:
    """The splits of all tasks, as one run of ``prepare`` has cut them.

    The index stands for all splits among the dependencies of a stage that reads all of them.

    Raises:
        DataError: a split or the index is missing, cannot be read or be right; or a split is
            not the one that the index names.
    """
    splits = [read_split(task) for task in range(1, num_tasks + 1)]
    index = read_sealed(layout.SPLIT_INDEX, DataError, FIRST) or {}
    for task, split in enumerate(splits, start=1):
        if index.get(str(task)) != split_digest(split):
            raise DataError(
                f"{layout.split(task)} is not the split that {layout.SPLIT_INDEX} names; {REMEDY}"
            )
    return splits


def shared_test(splits: Sequence[Split]) -> bool:
    """Whether every task is tested on the same images."""
    return splits[0].scenario == "data"


def class_names(splits: Sequence[Split]) -> list[str]:
    """The names of all classes of the stream, by label."""
    found: dict[int, str] = {}
    for split in splits:
        found |= dict(zip(split.classes, split.class_names, strict=True))
    return [found[label] for label in sorted(found)]


def _check(split: Split, task: int) -> None:
    """Check what its types do not say, apart from any images.

    Raises:
        ValueError: it holds what no split of this task can hold.
    """
    if split.task != task:
        raise ValueError(f"it says task {shorten(split.task)}")
    if missing := [part for part in PARTS if part not in split.fingerprint]:
        raise ValueError(f"fingerprint.{missing[0]} is missing")
    # Without labels there are no classes, and nothing need be tested.
    filled = {"train": True, "test": bool(split.classes), "classes": False}
    held = {"train": split.train, "test": split.test, "classes": split.classes}
    for name, numbers in held.items():
        if filled[name] and not numbers:
            raise ValueError(f"{name} is []")
        if negative := [number for number in numbers if number < 0]:
            raise ValueError(f"{name} holds {shorten(negative[0])}")
        if len(set(numbers)) < len(numbers):
            raise ValueError(f"{name} holds one twice")
    if len(split.class_names) != len(split.classes):
        raise ValueError(f"{len(split.class_names)} names for {len(split.classes)} classes")
