"""Messages for errors of the system: too little memory or disk space, paths that cannot be used."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.errors import RunError


@contextmanager
def explain_out_of_memory(what: str, remedy: str) -> Iterator[None]:
    """Turn an out-of-memory error, on the machine or a GPU, into a RunError.

    Args:
        what: what was being done.
        remedy: what may help.

    Raises:
        RunError: memory ran out.
    """
    try:
        yield
    except (MemoryError, RuntimeError, OSError) as error:
        reason = describe_memory_shortage(error)
        if reason is None:
            raise
        raise RunError(f"{what}: out of memory ({reason}); {remedy}") from error


# Words in the out-of-memory errors of torch, CUDA and its libraries, the dynamic linker and the
# system.
MEMORY_MESSAGES = (
    "allocate memory",
    "not enough memory",
    "failed to map segment",
    "out of memory",
    "out of shared memory",
    "ALLOC_FAILED",
)


DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# What is wrong with a path that somebody has named, or with what it leads to.
PATH_ERRORS = (
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENAMETOOLONG,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ELOOP,
    errno.EIO,
    errno.ESTALE,
)


def describe_memory_shortage(error: BaseException) -> str | None:
    """Return an out-of-memory error's own words, None for any other error.

    torch has no exception type for the machine's memory, and is not imported here for the
    sake of its type for a GPU's.
    """
    lines = [line.strip() for line in str(error).splitlines()]
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return next(iter(lines), "") or "no more of it"
    if not isinstance(error, RuntimeError | ImportError | OSError):
        return None
    # NCCL says it in its last line.
    return next((line for line in lines if any(sign in line for sign in MEMORY_MESSAGES)), None)


def describe_shortage(error: BaseException) -> str | None:
    """Return a message for a full disk, exhausted memory or a path that cannot be used, or None."""
    if isinstance(error, OSError) and error.errno in DISK_ERRORS:
        place = f" {error.filename}" if error.filename else " what this prints"
        return f"cannot write{place}: {error.strerror}; make room, and run this again"
    if isinstance(error, OSError) and error.errno in PATH_ERRORS:
        path = error.filename
        if isinstance(path, str | bytes) and path:
            return (
                f"cannot use {os.fsdecode(path)}: {error.strerror}; mend that, or name another path"
            )
    reason = describe_memory_shortage(error)
    if reason is None:
        return None
    smaller = ", or make the network or the batches smaller" if "torch" in sys.modules else ""
    return f"out of memory ({reason}); end other programs{smaller}"
