"""Images of a stream whose bytes are those of another one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.artifacts.split import Split
from pipeline.artifacts.split_counts import Repeats
from pipeline.building.task_images import TaskImages
from pipeline.data.image_files.content import list_first
from pipeline.data.parts import Part
from pipeline.errors import DataError

TEST_FIRST: tuple[Part, Part] = ("test", "train")


class ContentLedger:
    """The contents of the images of a stream, task after task.

    Attributes:
        first: the name of the first image of each content.
        trained: the contents of training images.
        tested: the names of the test images of each content.
    """

    def __init__(self) -> None:
        self.first: dict[str, object] = {}
        self.trained: set[str] = set()
        self.tested: dict[str, set[object]] = {}

    def add(self, task: TaskImages | Split) -> tuple[dict[Part, list[int]], int]:
        """Enter the images of the next task.

        Returns:
            The places of those whose content an earlier image has, by part (test images count
            as earlier than the training images of their task); and how many more test images
            have the bytes of a training image.
        """
        contents = task.contents or {}
        affected = {content for part in TEST_FIRST for content in contents.get(part, ())}
        before = self._count_leaked(affected)
        again: dict[Part, list[int]] = {"train": [], "test": []}
        for part in TEST_FIRST:
            keys = task.keys(part)
            for place, content in enumerate(contents.get(part, ())):
                key = keys[place]
                if self.first.setdefault(content, key) != key:
                    again[part].append(place)
                if part == "test":
                    self.tested.setdefault(content, set()).add(key)
                else:
                    self.trained.add(content)
        return again, self._count_leaked(affected) - before

    def _count_leaked(self, contents: set[str]) -> int:
        both = contents & self.trained & self.tested.keys()
        return sum(len(self.tested[content]) for content in both)


def mark_repeats(
    tasks: Sequence[TaskImages | Split], duplicates: str, root: Path
) -> list[TaskImages | Split]:
    """Return the tasks with what they repeat, counted or left out.

    An image repeats an earlier one if it has its bytes. Earlier are the images of earlier tasks,
    and the test images of the same task; so a task stays as it is when others come after it.

    Args:
        tasks: what each task holds; its split, if that stays as it is.
        duplicates: ``keep``, ``drop`` or ``error``; see FileOptions.
        root: the data set's folder, for messages.

    Raises:
        DataError: there are such images, and they are an error.
    """
    ledger = ContentLedger()
    found: list[TaskImages | Split] = []
    pairs: list[str] = []
    for task in tasks:
        if isinstance(task, Split):
            ledger.add(task)
            found.append(task)
            continue
        again, leaked = ledger.add(task)
        for part, places in again.items():
            keys, contents = task.keys(part), (task.contents or {}).get(part, ())
            pairs += [f"{keys[n]} is {ledger.first[contents[n]]}" for n in places]
        dropped = duplicates == "drop"
        repeats = Repeats(
            len(again["train"]), len(again["test"]), 0 if dropped else leaked, dropped=dropped
        )
        held = task.without(again) if dropped else task
        found.append(replace(held, repeats=repeats if any(again.values()) else None))
    if duplicates == "error" and pairs:
        raise DataError(
            f"data.duplicates: {root} has {len(pairs)} images twice: {list_first(pairs)}; "
            "remove them, or set data.duplicates: drop or keep"
        )
    return found
