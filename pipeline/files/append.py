"""Logs that other programs append to, and their last lines."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import RunError

TAIL_BYTES = 16_384


@contextmanager
def open_log(path: Path) -> Iterator[int]:
    """Open a log to append to, for a program's output; yield its descriptor.

    Raises:
        RunError: it cannot be opened.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}") from error
    try:
        yield handle
    finally:
        os.close(handle)


def append_line(handle: int, line: str) -> None:
    """Append a line to an open log."""
    os.write(handle, f"{line}\n".encode())


def read_tail(path: Path) -> list[str]:
    """Return the last lines of a log, those that are not blank; none if it cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    # A progress bar writes its line anew after a carriage return.
    lines = [line.rpartition("\r")[2].rstrip() for line in text.replace("\r\n", "\n").split("\n")]
    return [line for line in lines if line]
