"""The content of each task in words, for the report, the model card and the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.artifacts.split import Split, class_names, shared_test
from pipeline.data.parts import PARTS, Part
from pipeline.reporting.oddities import describe_oddities

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
        test: the number of test images.
    """

    task: int
    name: str
    train: int
    test: int

    @property
    def cell(self) -> str:
        """The name, escaped for a Markdown table."""
        return self.name.replace("|", "\\|")


def name_task(task: int, gone: Sequence[int]) -> str:
    """Return a task's name as a column has it, with a dagger if its images are gone.

    Args:
        task: the task's number.
        gone: the tasks whose images are no longer here.
    """
    return f"task {task} †" if task in gone else f"task {task}"


def name_stream(scenario: object) -> str:
    """Return what a stream of a scenario is called: class-incremental, say."""
    return "folder-incremental" if scenario == "folders" else f"{scenario}-incremental"


def tasks_heading(splits: Sequence[Split]) -> str:
    """Return the column heading of the tasks' names."""
    kinds = {"class": "classes", "data": "images", "domain": "domain", "folders": "folder"}
    return kinds[splits[0].scenario]


def describe_tasks(splits: Sequence[Split]) -> list[TaskContents]:
    """Return the content of each task."""
    return [
        TaskContents(split.task, _name(split), len(split.train), len(split.test))
        for split in splits
    ]


def _name(split: Split) -> str:
    if split.domain is not None:
        return split.domain
    if split.scenario == "data":
        return "a random part"
    return ", ".join(split.class_names)


def _remark_on_classes(splits: Sequence[Split], names: Sequence[str]) -> str:
    """Return which tasks hold which part of the classes, where they do not hold all."""
    held = [
        f"task {split.task} holds {', '.join(split.class_names)}"
        if split.classes
        else f"the images of task {split.task} have no labels"
        for split in splits
        if len(split.classes) < len(names)
    ]
    said = "; ".join(held)
    return f"{said[0].upper()}{said[1:]}."


def _count_skipped(splits: Sequence[Split], part: Part) -> int:
    """Return the number of images of a part that cannot be read and are left out."""
    held = splits[-1:] if part == "test" and shared_test(splits) else splits
    return sum((split.skipped or {}).get(part, 0) for split in held)


def remark_on_tasks(splits: Sequence[Split]) -> list[str]:
    """Return further remarks on the tasks, a sentence or two each."""
    said = []
    names = [] if splits[0].scenario == "class" else class_names(splits)
    if splits[0].scenario == "class":
        sizes = sorted({len(split.classes) for split in splits})
        if len(sizes) > 1:
            counts = " or ".join(str(size) for size in sizes)
            said.append(f"The classes do not divide evenly: tasks hold {counts} classes.")
    elif not names:
        said.append("The images have no labels.")
    elif all(len(split.classes) == len(names) for split in splits):
        said.append(f"Every task holds all {len(names)} classes: {', '.join(names)}.")
    else:
        said.append(f"There are {len(names)} classes: {', '.join(names)}.")
        said += [_remark_on_classes(splits, names)]
    if shared_test(splits):
        sizes = sorted({holding.train for holding in describe_tasks(splits)})
        if len(sizes) > 1:
            counts = " or ".join(str(size) for size in sizes)
            said.append(f"The images do not divide evenly: tasks hold {counts} training images.")
        said.append(SHARED_TEST)
    if splits[0].note is not None:
        said.append(splits[0].note)
    said += describe_oddities(splits)
    skipped = {part: _count_skipped(splits, part) for part in PARTS}
    if any(skipped.values()):
        said.append(
            f"Left out, as they cannot be read: {skipped['train']} training and "
            f"{skipped['test']} test images."
        )
    return said
