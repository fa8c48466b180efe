"""The content of each task in words, for the report, the model card and the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.artifacts.labelled_set import LabelledSet
from pipeline.artifacts.split import Split, class_names, fingerprint_stream, shared_test
from pipeline.data.parts import PARTS, Part
from pipeline.reporting.oddities import describe_oddities, list_counted
from pipeline.reporting.task_names import join_names, say_split
from pipeline.reporting.text_formats import show_controls

SHARED_TEST = (
    "Each task is tested on the whole test set. There is no accuracy on one task alone, so "
    "forgetting, forward transfer, plasticity and stability are undefined; the average accuracy "
    "after each task is in accuracy_over_tasks.csv."
)


@dataclass(frozen=True)
class TaskContents:
    """The content of a task.

    Attributes:
        task: the task's number.
        name: its classes, its domain, or "a random part".
        train: the number of training images.
        test: the number of images it is tested on.
    """

    task: int
    name: str
    train: int
    test: int


def tasks_heading(splits: Sequence[Split]) -> str:
    """Return the column heading of the tasks' names."""
    kinds = {"class": "classes", "data": "images", "domain": "domain", "folders": "folder"}
    return kinds[splits[0].scenario]


def describe_tasks(
    splits: Sequence[Split], labelled: LabelledSet | None = None
) -> list[TaskContents]:
    """Return the content of each task.

    Args:
        splits: of all tasks.
        labelled: the labelled images of elsewhere that all tasks are tested on, if they are.
    """
    return [
        TaskContents(
            split.task,
            join_names(split) or "a random part",
            len(split.train),
            len(split.test) if labelled is None else labelled.count("test"),
        )
        for split in splits
    ]


def identify_images(splits: Sequence[Split], labelled: LabelledSet | None) -> dict[str, str]:
    """Return the SHA-256 of all images that a run is made of and measured on, by what they are.

    Arguments are those of ``describe_tasks``.
    """
    found = fingerprint_stream(splits)
    if labelled is not None:
        found |= {f"labelled {part}": each for part, each in labelled.fingerprint.items()}
    return found


def fingerprint_tested(splits: Sequence[Split], labelled: LabelledSet | None) -> str:
    """Return the SHA-256 of the images that a run is tested on; arguments as above."""
    return fingerprint_stream(splits)["test"] if labelled is None else labelled.fingerprint["test"]


def _remark_on_classes(splits: Sequence[Split], names: Sequence[str]) -> str:
    """Return which tasks lack which of the classes, in all or in a part; empty if none does."""
    said = "; ".join(
        f"{say_split(split)} {', and '.join(lacking)}"
        if split.classes
        else f"the images of {say_split(split)} have no labels"
        for split in splits
        if (lacking := list(_say_lacking(split, names))) or not split.classes
    )
    return f"{said[0].upper()}{said[1:]}." if said else ""


def _say_lacking(split: Split, names: Sequence[str]) -> Iterator[str]:
    """Yield what a task lacks, as what follows its name: whole classes, then those of a part."""
    held = split.class_names
    absent = [name for name in names if name not in held]
    if len(absent) >= len(held):
        yield f"holds {_join(held)}"
    elif absent:
        yield f"lacks {_join(absent)}"
    parts = []
    for part, word in (("train", "training"), ("test", "test")):
        counts = split.counts[part]
        # Without any image of a part, as where none is held out, no class is missing there.
        gone = [name for name in held if not counts.classes.get(name)] if counts.all else []
        if gone:
            parts.append(f"no {word} images of {_join(gone)}")
    if parts:
        yield f"has {' and '.join(parts)}"


def _join(names: Sequence[str]) -> str:
    return ", ".join(show_controls(name) for name in names)


def _remark_on_labelled(labelled: LabelledSet) -> str:
    """Return which labelled images there are, class by class."""
    counts = ", ".join(
        f"{show_controls(name)} ({train} and {test})"
        for name, (train, test) in labelled.by_class().items()
    )
    return (
        f"What the features are worth is measured on the labelled images of "
        f"{show_controls(labelled.root)}, {labelled.count('train')} to fit the probes and "
        f"{labelled.count('test')} to test them, which no training sees; by class: {counts}."
    )


def _count_skipped(splits: Sequence[Split], part: Part) -> int:
    """Return the number of images of a part that cannot be read and are left out."""
    return sum((split.skipped or {}).get(part, 0) for split in list_counted(splits, part))


def remark_on_tasks(splits: Sequence[Split], labelled: LabelledSet | None = None) -> list[str]:
    """Return further remarks on the tasks, a sentence or two each; arguments as above."""
    said = []
    names = [] if splits[0].scenario == "class" else class_names(splits)
    if splits[0].scenario == "class":
        sizes = sorted({len(split.classes) for split in splits})
        if len(sizes) > 1:
            counts = " or ".join(str(size) for size in sizes)
            said.append(f"The classes do not divide evenly: tasks hold {counts} classes.")
    elif not names:
        said.append("The images have no labels.")
        said += [_remark_on_labelled(labelled)] if labelled is not None else []
    elif lacking := _remark_on_classes(splits, names):
        said += [f"There are {len(names)} classes: {_join(names)}.", lacking]
    else:
        said.append(f"Every task holds all {len(names)} classes: {_join(names)}.")
    if shared_test(splits):
        sizes = sorted({holding.train for holding in describe_tasks(splits)})
        if len(sizes) > 1:
            counts = " or ".join(str(size) for size in sizes)
            said.append(f"The images do not divide evenly: tasks hold {counts} training images.")
        said.append(SHARED_TEST)
    if splits[0].note is not None:
        said.append(show_controls(splits[0].note))
    said += describe_oddities(splits)
    skipped = {part: _count_skipped(splits, part) for part in PARTS}
    if any(skipped.values()):
        said.append(
            f"Left out, as they cannot be read: {skipped['train']} training and "
            f"{skipped['test']} test images."
        )
    return said
