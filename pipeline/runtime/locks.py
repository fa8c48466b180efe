"""Locks of stage outputs: one process at a time writes them.

The lock is the operating system's (flock): it is released when its process ends, in whatever
way. A file beside it names the holder, for the message. Locks lie in the folder in which the
stage runs, so a queued experiment, which runs in a copy, has its own.
"""

from __future__ import annotations

import errno
import hashlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline import layout
from pipeline.errors import RunError
from pipeline.files.atomic import find_way_out, remove_unfinished, write_best_effort

NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)  # of network file systems, above all
TIMEOUT_SECONDS = 10.0  # a process that is being stopped needs some seconds to save


@contextmanager
def lock_outputs(name: str, outputs: Sequence[Path]) -> Iterator[None]:
    """Lock a stage's outputs, and remove the temporary files of a killed process.

    Args:
        name: the stage, e.g. ``train_2``.
        outputs: the files it writes.

    Raises:
        RunError: another process still holds the lock after ``TIMEOUT_SECONDS``, the file system
            has no locks, or an output's folder is a link out of the project.
    """
    for path in outputs:
        folder = path if path.is_dir() else path.parent
        if (target := find_way_out(folder)) is not None:
            raise RunError(
                f"{folder} leads out of the project, to {target}, where nothing is written; put a "
                "folder in the link's place"
            )
    place = layout.LOCKS / f"{name}.lock"
    holder = place.with_suffix(".holder")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explain_no_lock(place, error) from error
    try:
        lock = take_lock(place, TIMEOUT_SECONDS)
    except Timeout:
        raise RunError(
            f"{name} is being run by {_read_holder(holder)}; wait until it ends, or stop it, "
            "and run this again"
        ) from None
    try:
        for path in outputs:
            remove_unfinished(path)
        program = Path(sys.argv[0]).name.replace("__main__.py", "cassle")
        command = " ".join([program, *sys.argv[1:]])
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        write_best_effort(holder, f"process {os.getpid()} ({command}) since {since}\n")
        yield
    finally:
        lock.release()


def name_lock(command: str, path: Path) -> str:
    """Return the name of a command's lock of a path, the same for all spellings of it."""
    return f"{command}_{hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:12]}"


def open_lock(place: Path, seconds: float = -1) -> FileLock:
    """Return the operating system's lock of a file, not taken yet.

    Where the file system has none, taking it is an error. filelock would take the mere presence
    of the file for a lock, which a killed process leaves behind for ever.

    Args:
        place: the file.
        seconds: how long to wait for another process; -1: until it ends.
    """
    return FileLock(place, timeout=seconds, fallback_to_soft=False)


def take_lock(place: Path, seconds: float = -1) -> FileLock:
    """Return the operating system's lock of a file, taken; arguments as ``open_lock``.

    Raises:
        Timeout: another process still holds it.
        RunError: the file cannot be locked.
    """
    lock = open_lock(place, seconds)
    try:
        lock.acquire()
    except Timeout:
        raise
    except OSError as error:
        raise explain_no_lock(place, error) from error
    return lock


def explain_no_lock(place: Path, error: OSError) -> RunError:
    """Return the error that says why a file cannot be locked."""
    if error.errno in NO_LOCKS:
        return RunError(
            f"cannot lock {place}: its file system has no locks ({error.strerror}); put the "
            "project on one that has flock, a local disk, say"
        )
    return RunError(f"cannot lock {place}: {error.strerror or error}")


def _read_holder(holder: Path) -> str:
    try:
        return holder.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return "another process"
