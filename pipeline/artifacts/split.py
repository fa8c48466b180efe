"""Splits: the images of each task, one file a task, and an index of them all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline import layout
from pipeline.artifacts.split_counts import Counts, Repeats
from pipeline.data.parts import PARTS, Part
from pipeline.errors import DataError, shorten
from pipeline.files.atomic import write_if_changed
from pipeline.files.sealed_json import (
    Json,
    add_digests,
    digest,
    read_sealed,
    sealed_text,
    write_sealed,
)
from pipeline.files.typed_json import as_json, from_json, get_typed

if TYPE_CHECKING:
    from pipeline.data.source import Keys

FIRST = "run `cassle prepare` first"
REMEDY = "run `cassle prepare` again"


@dataclass(frozen=True)
class Split:
    """The images of one task, and nothing of the tasks after it.

    Attributes:
        task: its number, from 1.
        scenario: ``class``, ``data``, ``domain`` or ``folders``.
        dataset: the data set's name in params.yaml.
        root: its folder, as params name it.
        fingerprint: SHA-256 of its images, by part.
        set_fingerprint: likewise, whatever their order.
        classes: the labels of its own classes, sorted: those of its images, but for ``drifting``;
            none where there are no labels. A class keeps the label that it has when it first comes.
        class_names: their names, in the same order.
        counts: numbers of its images, by part.
        train: its training images: paths of files, or places in an array.
        test: its test images.
        labels: of its images, by part, in the same order; none where there are no labels.
        domain: the name of its domain or folder, where tasks are such.
        skipped: numbers of its images that cannot be read and are left out, by part.
        plain: numbers of its images that are of a single color, by part.
        contents: the first digits of the SHA-256 of each image's bytes, by part, where images are
            files.
        repeats: its images that others are too; None: none.
        note: what else there is to say of the data set.
        split_seed: the seed that dealt it, where it is a random part.
        others: of task 1, where one training learns all tasks: the SHA-256 of the other splits.
        share: the share of its training images that it keeps, where tasks are of unequal lengths.
        drifting: the classes of its neighbours, of which it has some training images and no test
            images where boundaries are blurred: their labels by name. Its training images are then
            in the order of the stream.
    """

    task: int
    scenario: str
    dataset: str
    root: str
    fingerprint: Mapping[str, str]
    set_fingerprint: Mapping[str, str]
    classes: Sequence[int]
    class_names: Sequence[str]
    counts: Mapping[str, Counts]
    train: Sequence[int] | Sequence[str]
    test: Sequence[int] | Sequence[str]
    labels: Mapping[str, Sequence[int]]
    domain: str | None = None
    skipped: Mapping[str, int] | None = None
    plain: Mapping[str, int] | None = None
    contents: Mapping[str, Sequence[str]] | None = None
    repeats: Repeats | None = None
    note: str | None = None
    split_seed: int | None = None
    others: str | None = None
    share: float = 1.0
    drifting: Mapping[str, int] | None = None

    def keys(self, part: Part) -> Keys:
        """What names its images of a part."""
        return self.train if part == "train" else self.test

    def names(self, part: Part) -> list[str]:
        """The name of the class of each of its images of a part; none without labels."""
        known = dict(zip(self.classes, self.class_names, strict=True))
        known |= {label: name for name, label in (self.drifting or {}).items()}
        return [known[label] for label in self.labels[part]]


def write_splits(splits: Sequence[Split], slots: int, gone: Sequence[int] = ()) -> None:
    """Write what the tasks hold, ``null`` for the slots after them, and the index.

    Files that would not change are left alone.

    Args:
        splits: of all tasks.
        slots: the task slots of dvc.yaml.
        gone: tasks whose images are no longer here.

    Raises:
        RunError: a file cannot be written.
    """
    held = [as_json(split) for split in splits]
    for task in range(1, slots + 1):
        write_if_changed(
            layout.split(task), sealed_text(held[task - 1] if task <= len(held) else None)
        )
    index: Json = {str(task): digest(split) for task, split in enumerate(held, start=1)}
    # So that the evaluation runs again when images go or come back.
    write_sealed(layout.SPLIT_INDEX, {**index, "gone": list(gone)} if gone else index)


def read_gone() -> tuple[int, ...]:
    """The tasks whose images were no longer here when the stream was last looked at.

    Raises:
        DataError: the index is missing or damaged.
    """
    index = read_sealed(layout.SPLIT_INDEX, DataError, FIRST) or {}
    return get_typed({"gone": [], **index}, tuple[int, ...], "gone")


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


def read_known_splits(scenario: str, dataset: str, root: str) -> list[Split]:
    """The splits of a stream that are here, up to the first that is not or cannot be read.

    Args:
        scenario: of the stream.
        dataset: its data set's name in params.yaml.
        root: the data set's folder, as params name it.
    """
    known: list[Split] = []
    while layout.split(len(known) + 1).is_file():
        try:
            known.append(read_split(len(known) + 1))
        except DataError:
            break
    stream = (scenario, dataset, root)
    return [split for split in known if (split.scenario, split.dataset, split.root) == stream]


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
    """Whether every task is tested on the same images: of all parts, or of a labelled folder."""
    return splits[0].scenario == "data" or not has_labelled_test(splits)


def has_labelled_test(splits: Sequence[Split]) -> bool:
    """Whether any task has test images with labels."""
    return any(split.labels.get("test") for split in splits)


def fingerprint_stream(splits: Sequence[Split]) -> dict[str, str]:
    """A SHA-256 of the images of all tasks, by part, however they are divided into tasks."""
    tested = splits[-1:] if splits[0].scenario == "data" else splits
    return {
        "train": add_digests(split.set_fingerprint["train"] for split in splits),
        "test": add_digests(split.set_fingerprint["test"] for split in tested),
    }


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
    if missing := [part for part in PARTS if part not in split.set_fingerprint]:
        raise ValueError(f"set_fingerprint.{missing[0]} is missing")
    # Without labels there are no classes, and nothing need be tested; with data.holdout: 0 too.
    filled = {"train": True, "test": False, "classes": False}
    classes = [*split.classes, *(split.drifting or {}).values()]
    held: dict[str, Keys] = {"train": split.train, "test": split.test, "classes": classes}
    for name, keys in held.items():
        if filled[name] and not keys:
            raise ValueError(f"{name} is []")
        if negative := [key for key in keys if isinstance(key, int) and key < 0]:
            raise ValueError(f"{name} holds {shorten(negative[0])}")
        if len(set(keys)) < len(keys):
            raise ValueError(f"{name} holds one twice")
    for part in PARTS:
        labels = split.labels.get(part)
        if labels is None or len(labels) != (len(held[part]) if split.classes else 0):
            raise ValueError(f"labels.{part} are not one for each image")
        if foreign := set(labels) - set(classes if part == "train" else split.classes):
            raise ValueError(f"labels.{part} holds {min(foreign)}, which is not among its classes")
    if len(split.class_names) != len(split.classes):
        raise ValueError(f"{len(split.class_names)} names for {len(split.classes)} classes")
