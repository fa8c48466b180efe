"""Locks of stage outputs: one process at a time writes them.

The lock is the operating system's (flock): it is released when its process ends, in whatever
way. A file beside it names the holder, for the message. Locks lie in the folder in which the
stage runs, so a queued experiment, which runs in a copy, has its own.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline import layout
from pipeline.errors import RunError
from pipeline.files.atomic import remove_unfinished, write_best_effort

TIMEOUT_SECONDS = 10.0  # a process that is being stopped needs some seconds to save


@contextmanager
def lock_outputs(name: str, outputs: Sequence[Path]) -> Iterator[None]:
    """Lock a stage's outputs, and remove the temporary files of a killed process.

    Args:
        name: the stage, e.g. ``train_2``.
        outputs: the files it writes.

    Raises:
        RunError: another process still holds the lock after ``TIMEOUT_SECONDS``.
    """
    place = layout.LOCKS / f"{name}.lock"
    holder = place.with_suffix(".holder")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(place, timeout=TIMEOUT_SECONDS)
        lock.acquire()
    except Timeout:
        raise RunError(
            f"{name} is being run by {_read_holder(holder)}; wait until it ends, or stop it, "
            "and run this again"
        ) from None
    except OSError as error:
        raise RunError(f"cannot lock {place}: {error.strerror or error}") from error
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


def _read_holder(holder: Path) -> str:
    try:
        return holder.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return "another process"
