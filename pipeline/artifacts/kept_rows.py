"""Evaluations that are kept for another run, each in a file under the digest of its making."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, TypeVar

from pipeline import layout
from pipeline.errors import RunError
from pipeline.files.sealed_json import read_sealed, write_sealed
from pipeline.files.typed_json import as_json, from_json


class Keyed(Protocol):
    """A dataclass that knows the digest of all it was made from."""

    @property
    def key(self) -> str:
        """The digest."""


Row = TypeVar("Row", bound=Keyed)


def keep_row(row: Keyed) -> None:
    """Write an evaluation to a file of its own.

    Raises:
        RunError: it cannot be written.
    """
    write_sealed(_path(row.key), as_json(row))


def find_row(kind: type[Row], key: str) -> Row | None:
    """The evaluation with a key that was kept; None where there is none, or it is damaged.

    Args:
        kind: its class.
        key: the digest of all it was made from.
    """
    try:
        kept = from_json(kind, read_sealed(_path(key), RunError, ""))
    except (RunError, ValueError):
        return None
    return kept if kept.key == key else None


def _path(key: str) -> Path:
    return layout.main_checkout() / layout.ROWS / f"{key[:40]}.json"
