"""What each task holds of each class, counted for the pictures of a stream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.artifacts.split import Split
from pipeline.reporting.text_formats import show_controls

UNLABELLED = "without labels"
TITLE = "Training images of each class in each task"


@dataclass(frozen=True)
class StreamMap:
    """Numbers of training images.

    Attributes:
        names: of the classes, in the order in which they are a task's own; last the images
            without labels, if there are any.
        counts: of each class in each task: a row for each class, a column for each task.
    """

    names: Sequence[str]
    counts: Sequence[Sequence[int]]

    @property
    def most(self) -> int:
        """The largest number."""
        return max(count for row in self.counts for count in row)


def count_stream(splits: Sequence[Split]) -> StreamMap:
    """Return what each task holds of each class.

    Args:
        splits: of all tasks.
    """
    held = [Counter(split.names("train")) for split in splits]
    unlabelled = [len(split.train) - each.total() for split, each in zip(splits, held, strict=True)]
    names = list(dict.fromkeys(name for split in splits for name in split.class_names))
    counts = [[each[name] for each in held] for name in names]
    if any(unlabelled):
        names, counts = [*names, UNLABELLED], [*counts, unlabelled]
    return StreamMap([show_controls(name) for name in names], counts)
