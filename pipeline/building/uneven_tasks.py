"""Tasks of unequal lengths, and tasks whose boundaries are blurred."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.artifacts.split import Split
from pipeline.building.task_images import TaskImages, as_keys
from pipeline.data.parts import PARTS
from pipeline.data.stream.blurring import blur_boundaries
from pipeline.data.stream.lengths import choose_left_out, draw_shares
from pipeline.data.stream.scenarios import StreamOptions
from pipeline.errors import DataError


def cut_unevenly(
    cut: StreamOptions, tasks: Sequence[TaskImages | Split], root: Path
) -> list[TaskImages | Split]:
    """The tasks shortened, then mixed with their neighbours, as params say.

    Test images stay where they are: each belongs to the task whose class it is.

    Args:
        cut: the stream's options.
        tasks: what each holds before; its split, where its images are gone.
        root: the data set's folder, for messages.

    Raises:
        DataError: boundaries are blurred, and the images of a task are gone.
    """
    shortened = list(tasks)
    if cut.imbalanced > 1:
        shares = draw_shares(len(tasks), cut.imbalanced, cut.split_seed)
        for place, (task, share) in enumerate(zip(tasks, shares, strict=True)):
            if isinstance(task, TaskImages):
                names = task.names("train") or [""] * len(task.keys("train"))
                out = choose_left_out(names, share, cut.split_seed, place + 1)
                shortened[place] = replace(task.without({"train": out}), share=share)
    if not cut.blurred:
        return shortened
    there = [task for task in shortened if isinstance(task, TaskImages)]
    if len(there) < len(shortened):
        gone = next(n for n, task in enumerate(shortened, start=1) if isinstance(task, Split))
        raise DataError(
            f"stream.blurred mixes the images of neighbouring tasks, and those of task {gone} are "
            f"no longer in {root}; bring them back"
        )
    return list(_blur(cut, there))


def _blur(cut: StreamOptions, tasks: Sequence[TaskImages]) -> list[TaskImages]:
    """The tasks with training images of their neighbours, in the order of the stream."""
    keys = [task.keys("train") for task in tasks]
    names = [task.names("train") for task in tasks]
    lengths = [len(held) for held in keys]
    mixed = []
    for task, origins in zip(
        tasks, blur_boundaries(lengths, cut.blurred, cut.split_seed), strict=True
    ):
        own = {name for part in PARTS for name in task.names(part)}
        named = as_keys([keys[origin][place] for origin, place in origins])
        classes = [names[origin][place] for origin, place in origins]
        mixed.append(
            replace(
                task,
                held={**task.held, "train": named},
                classes={**task.classes, "train": classes},
                drifting=sorted(set(classes) - own),
            )
        )
    return mixed
