"""Errors for users: each says what, got, allowed, and what to do next.

The command line prints the message alone and exits with code 2; anything else that
is raised is a defect of the pipeline and keeps its traceback.
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable

EXIT_USER = 2  # a problem that the user can mend
EXIT_LOST = 3  # of a process that ended because another one of the same training did


class PipelineError(Exception):
    """A problem that the user can mend.

    Attributes:
        said_elsewhere: whether another process of the same training says so.
    """

    said_elsewhere = False


class ParamsError(PipelineError):
    """params.yaml cannot be used as it is."""


class DataError(PipelineError):
    """Images, labels or splits are missing or damaged."""


class StateError(PipelineError):
    """A state file is missing, damaged, or belongs to another run."""


class RunError(PipelineError):
    """A stage cannot run here and now (device, repository, arguments)."""


class InterruptedRunError(PipelineError):
    """Ctrl-C or SIGTERM during a stage: not a mistake, but the stage has not ended.

    Args:
        message: what is kept, and how to go on.
        signal_number: of the signal; the exit code is 128 more.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.signal_number = signal_number


# How torch, the loader of libraries and the system say that memory is short.
SHORT = ("allocate memory", "not enough memory", "failed to map segment")
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def memory_shortage(error: BaseException) -> str | None:
    """Return what an error says that means too little memory, the machine's or a GPU's.

    None of another error. torch has no kind of its own for the machine's memory, and is not
    imported here to ask for that of a GPU's.
    """
    reason = str(error).split("\n")[0].strip() or "no more of it"
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return reason
    said = any(sign in reason for sign in SHORT)
    return reason if isinstance(error, RuntimeError | ImportError | OSError) and said else None


def shortage(error: BaseException) -> str | None:
    """Return what to say where something ran out that no stage watches; None of other errors."""
    if isinstance(error, OSError) and error.errno in FULL:
        place = f" {error.filename}" if error.filename else " what this prints"
        return f"cannot write{place}: {error.strerror}; make room, and run this again"
    reason = memory_shortage(error)
    if reason is None:
        return None
    return (
        f"out of memory ({reason}); end other programs, or make the network or the batches smaller"
    )


class LostProcessError(PipelineError):
    """Another process of the same training has ended; its own message says why."""


def closest(name: str, allowed: Iterable[str]) -> str:
    """Return ``did you mean 'x'? one of: ...`` for a name that is not allowed."""
    names = list(allowed)
    matches = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean '{matches[0]}'? " if matches else ""
    return f"{hint}one of: {', '.join(names)}"
