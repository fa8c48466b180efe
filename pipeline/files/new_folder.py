"""A new folder of many files, whole or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from pipeline.errors import RunError
from pipeline.files.folders import UNFINISHED


def require_new_folder(folder: Path) -> None:
    """Check that a folder is not there, or is empty.

    Raises:
        RunError: it holds something, or cannot be looked into.
    """
    try:
        if folder.exists() and any(folder.iterdir()):
            raise RunError(f"{folder} is not empty; name another folder, or remove it")
    except OSError as error:
        raise RunError(f"cannot write {folder}: {error.strerror or error}") from error


def write_new_folder(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write files into a folder that is not there, or is empty.

    They are written beside it and come to their place by one rename. They are not synced one by
    one: for files that can be made again, in numbers for which that would take minutes.

    Args:
        folder: the new folder.
        contents: the files' bytes by their paths in it.

    Raises:
        RunError: there are files already, or they cannot be written; nothing has changed.
    """
    require_new_folder(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=UNFINISHED) as place:
            made = Path(place) / "folder"
            for name, content in contents.items():
                (made / name).parent.mkdir(parents=True, exist_ok=True)
                (made / name).write_bytes(content)
            made.replace(folder)
    except OSError as error:
        raise RunError(f"cannot write {folder}: {error.strerror or error}") from error
