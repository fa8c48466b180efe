"""The content of each task in words, for the report, the model card and the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline.artifacts.labelled_set import LabelledSet
from pipeline.artifacts.split import (
    Split,
    class_names,
    fingerprint_stream,
    has_labelled_test,
    shared_test,
    split_digest,
)
from pipeline.data.parts import PARTS, Part
from pipeline.files.sealed_json import digest
from pipeline.reporting.oddities import describe_oddities, list_counted
from pipeline.reporting.stream_remarks import describe_drift, describe_lengths
from pipeline.reporting.task_names import join_names, say_split
from pipeline.reporting.text_formats import show_controls

SHARED_TEST = (
    "Each task is tested on the whole test set. There is no accuracy on one task alone, so "
    "forgetting, transfer, knowledge gain, plasticity and stability are undefined; the average "
    "accuracy after each task is in accuracy_over_tasks.csv."
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


def identify_tasks(splits: Sequence[Split]) -> str:
    """Return the SHA-256 of what each task holds, wherever it lies, learnt at once or in turn."""
    return digest([split_digest(replace(split, root="", others=None)) for split in splits])


def fingerprint_tested(splits: Sequence[Split], labelled: LabelledSet | None) -> str:
    """Return the SHA-256 of the images that a run is tested on; arguments as above."""
    return fingerprint_stream(splits)["test"] if labelled is None else labelled.fingerprint["test"]


def _remark_on_classes(splits: Sequence[Split], names: Sequence[str]) -> str:
    """Return which classes tasks hold or lack, and in which part; empty: each holds all in both."""
    said = "; ".join(filter(None, (_describe_gaps(split, names) for split in splits)))
    return said and f"{said[0].upper()}{said[1:]}."


def _describe_gaps(split: Split, names: Sequence[str]) -> str:
    """Return which classes a task holds or lacks, whichever is shorter; empty: it holds all."""
    task = say_split(split)
    if not split.classes:
        return f"the images of {task} have no labels"
    absent = [name for name in names if name not in split.class_names]
    gaps = []
    for part, images in zip(PARTS, ("training images", "test images"), strict=True):
        labels = split.labels[part]
        empty = sorted(set(split.class_names) - set(split.names(part)))
        # Without any image to test on, the part is missing, and not a class of it.
        if empty and labels:
            gaps.append(f"no {images} of {_join(empty)}")
    said = [f"has {' and '.join(gaps)}"] if gaps else []
    if absent and len(absent) < len(split.classes):
        said.insert(0, f"lacks {_join(absent)}")
    elif absent:
        said.insert(0, f"holds {_join(split.class_names)}")
    return f"{task} {', and '.join(said)}" if said else ""


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


def are_tested(splits: Sequence[Split], labelled: LabelledSet | None) -> bool:
    """Return whether there are labelled images to test states on; arguments as above."""
    return labelled is not None or has_labelled_test(splits)


def remark_on_tasks(splits: Sequence[Split], labelled: LabelledSet | None = None) -> list[str]:
    """Return further remarks on the tasks, a sentence or two each; arguments as above."""
    said = []
    names = [] if splits[0].scenario == "class" else class_names(splits)
    if splits[0].scenario == "class":
        sizes = sorted({len(split.classes) for split in splits})
        counts = " or ".join(str(size) for size in sizes)
        if len(sizes) > 2 or sizes[-1] - sizes[0] > 1:
            said.append(f"Tasks hold unequal numbers of classes: {counts}.")
        elif len(sizes) > 1:
            said.append(f"The classes do not divide evenly: tasks hold {counts} classes.")
        said += describe_drift(splits)
    elif not names:
        said.append("The images have no labels.")
        said += [_remark_on_labelled(labelled)] if labelled is not None else []
    elif gaps := _remark_on_classes(splits, names):
        said.append(f"There are {len(names)} classes: {_join(names)}. {gaps}")
    else:
        said.append(f"Every task holds all {len(names)} classes: {_join(names)}.")
    if shared_test(splits):
        sizes = sorted({holding.train for holding in describe_tasks(splits)})
        if len(sizes) > 1 and not list(describe_lengths(splits)):
            counts = " or ".join(str(size) for size in sizes)
            said.append(f"The images do not divide evenly: tasks hold {counts} training images.")
        if are_tested(splits, labelled):
            said.append(SHARED_TEST)
    said += describe_lengths(splits)
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
