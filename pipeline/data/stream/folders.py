"""Which folders are the tasks of a stream of folders, and in which order."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from pipeline.data.image_files.part_folders import require_no_parts
from pipeline.data.image_files.tree import list_folder
from pipeline.data.names import normalize_name
from pipeline.errors import DataError


def list_task_folders(root: Path, known: Iterable[str] = ()) -> list[str]:
    """Return the names of the folders that are tasks, in natural order: 2 before 10.

    Args:
        root: the folder that holds them.
        known: the folders of an earlier cut: a task stays when its folder is deleted.

    Raises:
        DataError: the root is missing or holds no folder.
    """
    if not root.is_dir():
        raise DataError(f"the folder '{root}' is missing; it should hold one folder a task")
    tree = list_folder(root)
    if tree.images:
        raise DataError(
            f"{root} holds images ({tree.images[0]}) beside its folders; in scenario: folders "
            "each image lies in the folder of its task"
        )
    require_no_parts(root, tree.folders)
    found = sorted({*tree.folders, *known}, key=lambda name: (natural_key(name), name))
    if not found:
        raise DataError(f"{root} holds no folder; in scenario: folders each folder is a task")
    return found


def find_entry(path: Path) -> Path:
    """Return a path as the folders in it are spelt on disk, if they are in another Unicode form.

    A name as it stands comes first; a name that is nowhere stays.
    """
    if path.exists() or path == path.parent or not path.name:
        return path
    above, wanted = find_entry(path.parent), normalize_name(path.name)
    there: list[str] = []
    with suppress(OSError):
        there = sorted(os.listdir(above))  # noqa: PTH208 - names alone
    return above / next((name for name in there if normalize_name(name) == wanted), path.name)


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Return the sorting key of a name whose numbers count as numbers."""
    return [
        (0, int(piece), "") if piece.isdecimal() else (1, 0, piece)
        for piece in re.findall(r"\d+|\D+", name)
    ]
