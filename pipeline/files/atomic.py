"""Atomic writes, and reads that follow no link out of the project.

Files that the pipeline reads back are sealed: they carry the SHA-256 of their own content
(``pipeline.files.sealed_json``, ``pipeline.files.tensors``).
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from pipeline import layout
from pipeline.errors import RunError

_UNFINISHED = re.compile(r"\..+\.[a-z0-9_]{8}")  # as tempfile names them
_CACHED = re.compile(r"[0-9a-f]{2}/[0-9a-f]{30}")  # as DVC's cache names files


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically: a temporary file beside it, a sync, then one rename.

    Raises:
        RunError: the file cannot be written (no space, no permission).
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
        temporary = None
        sync_folder(path.parent)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def require_writable(folders: Iterable[Path]) -> None:
    """Check that files can be written into folders, before the work that makes them.

    Of a folder that is missing, the nearest one above it counts.

    Raises:
        RunError: one cannot be written to; names them all.
    """
    refused = {}
    for folder in folders:
        try:
            there = next(path for path in (folder, *folder.parents) if path.exists())
            with tempfile.TemporaryFile(dir=there):
                pass
        except OSError as error:
            refused[folder] = error.strerror or str(error)
    if refused:
        named = ", ".join(f"{folder} ({why})" for folder, why in refused.items())
        raise RunError(f"cannot write to {named}; make them folders that can be written to")


def sync_folder(folder: Path) -> None:
    """Sync a folder's entries to disk, so that a rename survives a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def find_unfinished(folder: Path) -> list[Path]:
    """Return the temporary files that a killed ``write_bytes`` left in a folder."""
    return [path for path in sorted(folder.glob(".*")) if _UNFINISHED.fullmatch(path.name)]


def remove_unfinished(path: Path) -> None:
    """Remove the temporary files of a file, or of all files in a folder.

    The caller must hold the lock: no other process may be writing there.
    """
    for left in find_unfinished(path if path.is_dir() else path.parent):
        if path.is_dir() or left.name.startswith(f".{path.name}."):
            left.unlink(missing_ok=True)


def read_content(path: Path) -> bytes:
    """Return the bytes of a stage's output file.

    DVC may link outputs to its cache, which can be anywhere. No other link out of the project
    is followed, and no pipe or device is opened.

    Raises:
        OSError: the file is missing or cannot be read.
        ValueError: it is not a regular file, or is a link out of the project.
    """
    if path.is_symlink():
        target = Path(os.path.realpath(path))
        rooms = [Path(os.path.realpath(room)) for room in (Path(), layout.main_checkout())]
        cached = _CACHED.fullmatch("/".join(target.parts[-2:]))
        if not cached and not any(target.is_relative_to(room) for room in rooms):
            raise ValueError(f"it is a link out of the project, to {target}, and was not opened")
    if path.exists() and not path.is_file():
        raise ValueError("it is no file")
    return path.read_bytes()


def write_text(path: Path, content: str) -> None:
    """Write a text file as UTF-8 with Unix line ends."""
    write_bytes(path, content.encode())


def write_if_changed(path: Path, text: str) -> None:
    """Write as ``write_text``, unless the file holds just that."""
    if not holds_text(path, text):
        write_text(path, text)


def holds_text(path: Path, text: str) -> bool:
    """Return whether a file holds just a text; not if it cannot be read."""
    try:
        return path.read_bytes() == text.encode()
    except OSError:
        return False


def write_best_effort(path: Path, content: str) -> None:
    """Write a text file without a sync, and ignore errors: for files that nothing depends on."""
    with suppress(OSError):
        path.write_text(content, encoding="utf-8")
