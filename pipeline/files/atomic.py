"""Atomic writes, and reads that follow no link out of the project.

Files that the pipeline reads back are sealed: they carry the SHA-256 of their own content
(``pipeline.files.sealed_json``, ``pipeline.files.tensors``).
"""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from pipeline import layout
from pipeline.errors import RunError

_UNFINISHED = re.compile(r"\..+\.unfinished\.[0-9a-f]{8}")  # as ``name_unfinished`` names them
_CACHED = re.compile(r"[0-9a-f]{2}/[0-9a-f]{30}")  # as DVC's cache names files


def write_bytes(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Write a file atomically: a temporary file beside it, a sync, then one rename.

    Args:
        path: the file; a link is replaced by the file.
        content: its bytes.
        mode: its permissions, without those that the umask takes away.

    Raises:
        RunError: the file cannot be written (no space, no permission).
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        wanted = name_unfinished(path)
        handle = os.open(wanted, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        temporary = wanted
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
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


def name_unfinished(path: Path) -> Path:
    """Return a new name, beside a file, for what it holds while it is being written."""
    return path.with_name(f".{path.name}.unfinished.{os.urandom(4).hex()}")


def find_unfinished(folder: Path) -> list[Path]:
    """Return the temporary files that killed processes left in a folder, and nobody else's."""
    return [
        path
        for path in sorted(folder.glob(".*"))
        if _UNFINISHED.fullmatch(path.name) and path.is_file() and not path.is_symlink()
    ]


def remove_unfinished(path: Path) -> None:
    """Remove the temporary files of a file, or of all files in a folder.

    The caller must hold the lock: no other process may be writing there.
    """
    for left in find_unfinished(path if path.is_dir() else path.parent):
        if path.is_dir() or left.name.startswith(f".{path.name}."):
            left.unlink(missing_ok=True)


def find_way_out(path: Path) -> Path | None:
    """Return where a path leads out of the project, by a link to it or to a folder above it.

    ``.scratch`` may lie anywhere: nobody but the user of this copy links it.

    Returns:
        The real path; None if it is in the project, or has no link in it.
    """
    target = Path(os.path.realpath(path))
    if str(target) == os.path.abspath(path):  # noqa: PTH100 - Path.absolute keeps ".."
        return None
    root = layout.main_checkout()
    rooms = [Path(os.path.realpath(room)) for room in (Path(), root, root / layout.SCRATCH)]
    return None if any(target.is_relative_to(room) for room in rooms) else target


def is_special(path: Path) -> bool:
    """Return whether a path is no regular file, if it is there: opening a pipe waits for ever."""
    return path.exists() and not path.is_file()


def require_own_file(path: Path) -> None:
    """Check that a stage's output file may be opened, if it is there.

    DVC may link outputs to its cache, which can be anywhere. No other link out of the project
    is followed, be it one of a folder, and no pipe or device is opened.

    Raises:
        ValueError: it is not a regular file, or is a link out of the project.
    """
    target = find_way_out(path)
    if target is not None and not _CACHED.fullmatch("/".join(target.parts[-2:])):
        raise ValueError(f"it is a link out of the project, to {target}, and was not opened")
    if is_special(path):
        raise ValueError("it is no file")


def read_content(path: Path) -> bytes:
    """Return the bytes of a stage's output file.

    Raises:
        OSError: the file is missing or cannot be read.
        ValueError: as ``require_own_file``.
    """
    require_own_file(path)
    return path.read_bytes()


def write_text(path: Path, content: str) -> None:
    """Write a text file as UTF-8 with Unix line ends."""
    write_bytes(path, content.encode())


def rewrite_text(path: Path, content: str) -> None:
    """Write a text file that people own, such as params.yaml, as ``write_text``.

    A link to it stays a link, and its permissions stay.
    """
    target = Path(os.path.realpath(path))
    mode = stat.S_IMODE(target.stat().st_mode) if target.is_file() else 0o666
    write_bytes(target, content.encode(), mode)


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
    """Write a text file without a sync, and ignore errors: for files that nothing depends on.

    Always UTF-8: bytes of a file's name that are no text are written as escapes.
    """
    with suppress(OSError):
        path.write_bytes(content.encode("utf-8", "backslashreplace"))
