"""Read the splits that ``prepare`` left."""

from __future__ import annotations

from pipeline import layout
from pipeline.data.split_checks import REMEDY, check_split
from pipeline.errors import DataError
from pipeline.files import Json, digest, read_sealed

FIRST = "run `cassle prepare` first"


def read_split(task: int) -> Json:
    """Return what a task holds.

    Raises:
        DataError: there is no such split, or it cannot be read or be right.
    """
    split = read_sealed(layout.split(task), DataError, FIRST)
    if split is None:
        raise DataError(f"{layout.split(task)} is empty; {REMEDY}")
    check_split(split, task, layout.split(task))
    return split


def split_digest(task: int) -> str | None:
    """Return the SHA-256 of a task's split as a state's header has it; None if it is missing.

    Raises:
        DataError: the split is damaged.
    """
    return digest(read_split(task)) if layout.split(task).is_file() else None


def read_splits(num_tasks: int) -> list[Json]:
    """Return what all tasks hold, as one run of ``prepare`` has cut them.

    The index stands for all splits among the dependencies of a stage that reads all of them.

    Raises:
        DataError: a split or the index is missing, cannot be read or be right; or a split is
            not the one that the index names.
    """
    splits = [read_split(task) for task in range(1, num_tasks + 1)]
    index = read_sealed(layout.SPLIT_INDEX, DataError, FIRST) or {}
    for task, split in enumerate(splits, start=1):
        if index.get(str(task)) != digest(split):
            raise DataError(
                f"{layout.split(task)} is not the split that {layout.SPLIT_INDEX} names; {REMEDY}"
            )
    return splits


def index_of(splits: list[Json]) -> Json:
    """Return what the index holds: the SHA-256 of each task's split, by the task's number."""
    return {str(task): digest(split) for task, split in enumerate(splits, start=1)}
