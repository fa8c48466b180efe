"""Atomic writes of a whole folder of files."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.errors import RunError
from pipeline.files.atomic import sync_folder, write_bytes

UNFINISHED = ".unfinished."  # prefix of temporary folders, which a killed process may leave


def require_writable_folder(folder: Path, names: Sequence[str], *, replace: bool) -> None:
    """Check that files can be written into a folder, before the work that makes them.

    Args:
        folder: the folder; it need not exist.
        names: files to write; the first marks a folder as an earlier export, the last is written
            last.
        replace: accept a folder that is not empty. One in which a killed process has begun to put
            its files in place, but has not ended, is accepted anyway.

    Raises:
        RunError: it is not a folder, is not empty, holds a file of one of the names that no
            export wrote, or cannot be written.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise RunError(f"{folder} is a file; name a new or an empty folder")
        there = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
        found = [name for name in there if not name.startswith(UNFINISHED)]
        begun = len(found) < len(there) and names[-1] not in found and set(found) <= set(names)
        if found and not replace and not begun:
            shown = ", ".join(found[:3]) + (", ..." if len(found) > 3 else "")
            raise RunError(
                f"{folder} is not empty (it holds {shown}); name another folder, or add --force "
                f"to replace {', '.join(names)} there"
            )
        foreign = [name for name in names if name in found and names[0] not in found]
        if foreign and not begun:
            raise RunError(
                f"{folder / foreign[0]} is not of an earlier export (there is no {names[0]} "
                "beside it); name another folder"
            )
        for name in names:
            if (folder / name).is_dir():
                raise RunError(f"{folder / name} is a folder; move it away, or name another one")
        nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        if not nearest.is_dir():
            raise RunError(f"cannot write {folder}: {nearest} is a file")
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise RunError(f"cannot write {folder}: no permission to write to {nearest}")
    except OSError as error:
        raise RunError(f"cannot write {folder}: {error.strerror or error}") from error


def write_folder(folder: Path, contents: Mapping[str, bytes], names: Sequence[str]) -> None:
    """Write files into a folder, and create it if it is missing.

    All files are complete on disk before the first one is put in place. At no moment do files of
    two exports lie beside each other: those of the earlier one go first, but for the first file,
    which is replaced; the last file comes last. Where a process is killed in between, its
    temporary folder says so, and the next one begins anew; no other process may be writing there.

    Args:
        folder: the folder; its files that are not in ``names`` stay.
        contents: the files' bytes by name, the first one of ``names`` among them.
        names: all files that an export can have; those not in ``contents`` are removed.

    Raises:
        RunError: a file cannot be written.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    place: Path | None = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        abandoned = list(folder.glob(f"{UNFINISHED}*"))
        place = Path(tempfile.mkdtemp(dir=folder, prefix=UNFINISHED))
        for name, content in contents.items():
            write_bytes(place / name, content)
        whole, place = place, None
        missing = []
        for name in reversed(names[1:]):
            (folder / name).unlink(missing_ok=True)
        sync_folder(folder)
        for name in names:
            if name in contents:
                (whole / name).replace(folder / name)
                sync_folder(folder)
        for left in (*abandoned, whole):
            shutil.rmtree(left)
    except OSError as error:
        raise RunError(f"cannot write {folder}: {error.strerror or error}") from error
    finally:
        if place is not None:
            shutil.rmtree(place, ignore_errors=True)
        for path in missing:
            if path.is_dir():
                path.rmdir()
