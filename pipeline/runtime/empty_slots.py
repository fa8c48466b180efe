"""Task slots above num_tasks: their stages write ``null`` and end.

DVC runs each of them once, in a process of its own. This module imports next to nothing, not
even the command line, so that such a process ends at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline import layout
from pipeline.errors import RunError
from pipeline.files.sealed_json import write_sealed

EMPTY = b"null\n"


def finish_if_empty(arguments: Sequence[str]) -> bool:
    """Write the outputs of an empty slot; return whether the command line names one.

    On an error it returns False, and the command line then reports the error.

    Args:
        arguments: the arguments of ``python -m pipeline``.
    """
    match arguments:
        case ["train", number, "--planned"] if number.isdecimal():
            try:
                return write_if_empty(int(number))
            except RunError:
                return False
    return False


def is_empty(path: Path) -> bool:
    """Return whether a file is the output of a slot above num_tasks."""
    return path.stat().st_size == len(EMPTY) and path.read_bytes() == EMPTY


def write_if_empty(task: int) -> bool:
    """Write ``null`` to the outputs of a slot above num_tasks; return whether it is empty.

    Raises:
        RunError: an output cannot be written, or holds what a training has left: DVC has
            taken that away before, so it was not DVC that ran this.
    """
    try:
        if layout.plan(f"train_{task}").read_bytes() != EMPTY:
            return False
    except OSError:
        return False
    outputs = layout.train_outputs(task)
    for path in outputs:
        if path.exists() and not is_empty(path):
            raise RunError(
                f"task {task} is above num_tasks in the plan, and {path} of an earlier run is "
                "there; raise num_tasks and run `cassle plan`, or remove it"
            )
    for path in outputs:
        write_sealed(path, None)
    return True
