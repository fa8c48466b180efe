"""The names of data sets, streams and tasks, as people read them.

All of them are text of one line, without hidden characters; each format of output escapes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.artifacts.split import Split
from pipeline.reporting.chart_labels import shorten_label
from pipeline.reporting.text_formats import show_controls

FOLDER_DATASET = "image_folder"
CHARACTERS = 120  # of all names together that stand beside each other, without their numbers
ROOM = (10, 40)  # the fewest and the most characters of one of them


def name_dataset(params: Mapping[str, object]) -> str:
    """Return what the data of a run are called: a folder of images by the folder's name."""
    dataset, data = str(params.get("dataset", "?")), params.get("data")
    if dataset == FOLDER_DATASET and isinstance(data, Mapping):
        root = Path(str(data.get("root")))
        return show_controls(root.name or root.resolve().name or dataset)
    return show_controls(dataset)


def name_stream(scenario: object) -> str:
    """Return what a stream of a scenario is called: class-incremental, say."""
    return "folder-incremental" if scenario == "folders" else f"{scenario}-incremental"


def list_names(split: Split) -> list[str]:
    """Return the names that a task is called by: its domain, folder or classes.

    A random part has none.
    """
    if split.domain is not None:
        return [show_controls(split.domain)]
    if split.scenario == "data":
        return []
    return [show_controls(name) for name in split.class_names]


def give_room(count: int) -> int:
    """Return the characters of each of so many names that stand beside each other."""
    fewest, most = ROOM
    return max(fewest, min(most, CHARACTERS // max(1, count)))


def shorten_list(names: Sequence[str], room: int) -> str:
    """Return names joined by commas, cut to ``room`` characters: whole names, where one fits."""
    whole = ", ".join(names)
    if len(whole) <= room:
        return whole
    for count in range(len(names) - 1, 0, -1):
        some = f"{', '.join(names[:count])}, …"
        if len(some) <= room:
            return some
    return shorten_label(whole, room)


def name_task(split: Split, room: int, gone: Sequence[int] = ()) -> str:
    """Return a task's name as a column has it: ``3 · Bag, Ankle boot``, or ``task 3``.

    Args:
        split: the task's split.
        room: characters of the name, apart from the number.
        gone: the tasks whose images are no longer here; these get a dagger.
    """
    names = shorten_list(list_names(split) or [""], room)
    shown = f"{split.task} · {names}" if names else f"task {split.task}"
    return f"{shown} †" if split.task in gone else shown


def join_names(split: Split) -> str:
    """Return all names that a task is called by; empty for a random part."""
    return ", ".join(list_names(split))


def say_split(split: Split) -> str:
    """Return a task's name as a sentence has it, by its split."""
    return say_task(split.task, join_names(split))


def say_task(task: int, name: str, room: int = ROOM[1]) -> str:
    """Return a task's name as a sentence has it: ``task 3 (Bag, Ankle boot)``.

    Args:
        task: the task's number.
        name: its domain, folder or classes; empty for a random part.
        room: characters of the name.
    """
    return f"task {task} ({shorten_label(name, room)})" if name else f"task {task}"
