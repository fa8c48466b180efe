"""What has changed in a stream since its tasks were cut, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.artifacts.split import Split
from pipeline.building.dealt_parts import count_left_out
from pipeline.building.split_images import images_are_gone
from pipeline.building.task_images import TaskImages
from pipeline.data.names import normalize_name
from pipeline.data.parts import PARTS
from pipeline.data.source import Source


def describe_changes(
    source: Source,
    known: Sequence[Split],
    tasks: Sequence[TaskImages | Split],
    *,
    looks_back: bool,
) -> Iterator[str]:
    """Yield a line for each task that is new, changed or gone since the stream was cut.

    Args:
        source: the data set.
        known: the splits of the tasks as they were cut; none: nothing was cut yet.
        tasks: what each task holds now.
        looks_back: whether the strategy reads the images of the task before.
    """
    if not known:
        return
    last = len(tasks)
    gone = [split.task for split in known[:last] if images_are_gone(source, split)]
    for task, (before, now) in enumerate(zip(known, tasks, strict=False), start=1):
        if task in gone and isinstance(now, Split):
            yield (
                f"task {task}{_name(now)}: its images are gone; what was learnt and measured "
                "stays, and its accuracies after later tasks cannot be measured"
            )
            if looks_back and task == len(known) < last:
                yield (
                    f"task {task + 1} cannot begin: the strategy looks back at the images of task "
                    f"{task}; bring them back, or choose another strategy"
                )
        elif what := _describe_change(source, before, now):
            again = f"tasks {task} to {last} train" if task < last else f"task {task} trains"
            yield (
                f"task {task}{_name(now)}: {what} since it was cut, so {again} again; to keep "
                "what was learnt, undo that, and put new images into a task of their own"
            )
            return
    for task in range(len(known) + 1, last + 1):
        yield f"task {task}{_name(tasks[task - 1])}: new; no task before it trains again"


def find_first_new(known: Sequence[Split], tasks: Sequence[TaskImages | Split]) -> int:
    """Return the number of the first task that was not cut, or that params cut in another way.

    Whether its images are the same is not looked at.

    Args:
        known: the splits of the tasks as they were cut.
        tasks: what each task holds now.
    """
    pairs = enumerate(zip(known, tasks, strict=False), start=1)
    alike = min(len(known), len(tasks))
    return next((task for task, pair in pairs if not _are_of_one_kind(*pair)), alike + 1)


def _are_of_one_kind(before: Split, now: TaskImages | Split) -> bool:
    """Whether a task is the domain, or the folder, that it was, or else of the same classes."""
    if before.domain is not None and now.domain is not None:
        return normalize_name(before.domain) == normalize_name(now.domain)
    return _list_classes(before) == _list_classes(now)


def _list_classes(task: TaskImages | Split) -> set[str]:
    """The names of a task's own classes, without those of its neighbours."""
    if isinstance(task, Split):
        return set(map(normalize_name, task.class_names))
    return {name for part in PARTS for name in task.names(part)} - {*task.drifting}


def _name(task: TaskImages | Split) -> str:
    """A task's domain or folder in brackets; empty where it has none."""
    return "" if task.domain is None else f" ({task.domain})"


def _describe_change(source: Source, before: Split, now: TaskImages | Split) -> str:
    """What is different in a task; empty: nothing."""
    old, new = ({key for part in PARTS for key in held.keys(part)} for held in (before, now))
    added, removed = len(new - old), len(old - new)
    if not removed and added <= sum(count_left_out(before, part) for part in PARTS):
        added = 0  # they are left out, as they cannot be read or are there twice
    if added or removed:
        return f"{added} images came and {removed} went"
    if moved := len(set(now.keys("test")) - set(before.keys("test"))):
        return f"{moved} images were moved to the test part"
    changed = any(
        before.fingerprint[part] != source.select(part, before.keys(part)).fingerprint()
        for part in PARTS
    )
    return "images were replaced" if changed else ""
