"""Too little memory or disk space, told from other errors."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.errors import RunError


@contextmanager
def explain_out_of_memory(what: str, remedy: str) -> Iterator[None]:
    """Turn a lack of memory, the machine's or a GPU's, into one message.

    Args:
        what: was being done.
        remedy: what may help.

    Raises:
        RunError: there was too little memory.
    """
    try:
        yield
    except (MemoryError, RuntimeError, OSError) as error:
        reason = describe_memory_shortage(error)
        if reason is None:
            raise
        raise RunError(f"{what}: out of memory ({reason}); {remedy}") from error


# How torch, the loader of libraries and the system say that memory is short.
MEMORY_MESSAGES = ("allocate memory", "not enough memory", "failed to map segment")


DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def describe_memory_shortage(error: BaseException) -> str | None:
    """Return what an error says that means too little memory, the machine's or a GPU's.

    None of another error. torch has no kind of its own for the machine's memory, and is not
    imported here to ask for that of a GPU's.
    """
    reason = str(error).split("\n")[0].strip() or "no more of it"
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return reason
    said = any(sign in reason for sign in MEMORY_MESSAGES)
    return reason if isinstance(error, RuntimeError | ImportError | OSError) and said else None


def describe_shortage(error: BaseException) -> str | None:
    """Return what to say where something ran out that no stage watches; None of other errors."""
    if isinstance(error, OSError) and error.errno in DISK_ERRORS:
        place = f" {error.filename}" if error.filename else " what this prints"
        return f"cannot write{place}: {error.strerror}; make room, and run this again"
    reason = describe_memory_shortage(error)
    if reason is None:
        return None
    return (
        f"out of memory ({reason}); end other programs, or make the network or the batches smaller"
    )
