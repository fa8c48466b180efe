"""Errors for users: each says what is wrong, what was got and allowed, and what to do next.

The command line prints the message alone and exits with code 2; anything else that
is raised is a defect of the pipeline and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

EXIT_USER = 2  # a problem that the user can mend
EXIT_PEER_FAILED = 3  # this process stopped because another rank failed


class PipelineError(Exception):
    """A problem that the user can mend.

    Attributes:
        reported_by_another_rank: whether another process of the same training says so.
    """

    reported_by_another_rank = False


class ParamsError(PipelineError):
    """params.yaml is missing or invalid."""


class DataError(PipelineError):
    """Images, labels or splits are missing or damaged."""


class StateError(PipelineError):
    """A state file is missing, damaged, or belongs to another run."""


class RunError(PipelineError):
    """A stage cannot run here and now (device, repository, arguments)."""


class InterruptedRunError(PipelineError):
    """A signal stopped a stage before its end.

    Args:
        message: what was saved, and how to resume.
        signal_number: the signal's number; the exit code is 128 more.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.signal_number = signal_number


class PeerFailedError(PipelineError):
    """Another process of the same training has ended; its own message says why."""


def describe_missing(what: str, package: str, extra: str) -> str:
    """Return that something needs a package that is not installed, and how to install it.

    Args:
        what: needs it.
        package: its name, or several.
        extra: of this package, which has it.
    """
    install = f"`pip install 'cassle-pipeline[{extra}]'`"
    return f"{what} needs {package}, not installed here; run {install}"


def explain_unreadable(path: object, error: OSError) -> str:
    """Return that a file is there and may not be read: nothing is known of what it holds.

    Args:
        path: the file.
        error: the system's.
    """
    return f"{path} cannot be read: {error.strerror or error}; make it readable for this user"


def closest(name: str, allowed: Iterable[str]) -> str:
    """Return the hint ``did you mean 'x'? one of: ...`` for an unknown name."""
    names = list(allowed)
    matches = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean '{matches[0]}'? " if matches else ""
    return f"{hint}one of: {', '.join(names)}"


def shorten(value: object) -> str:
    """Return a value's ``repr``, cut to 80 characters."""
    if isinstance(value, int) and value.bit_length() > 200:
        return "a number of more than 60 digits"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
