"""Accuracies of states on labelled data that are not the stream's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline import layout
from pipeline.errors import RunError
from pipeline.files.sealed_json import read_sealed, write_sealed
from pipeline.files.typed_json import as_json, from_json


@dataclass(frozen=True)
class Transfer:
    """What the features of a state are worth on other data.

    Attributes:
        after_task: the number of the state; 0: what the stream starts from.
        data: the data, as params name them.
        key: the digest of all it was made from.
        accuracy: in percent over all classes of the data, by the name of the probe.
        images: numbers of training and test images.
        classes: the number of classes.
    """

    after_task: int
    data: str
    key: str
    accuracy: Mapping[str, float]
    images: Mapping[str, int]
    classes: int


def keep_transfer(found: Transfer) -> None:
    """Write an evaluation to a file of its own, under its key.

    Raises:
        RunError: it cannot be written.
    """
    write_sealed(_path(found.key), as_json(found))


def find_transfer(key: str) -> Transfer | None:
    """The evaluation with a key that was kept; None where there is none, or it is damaged."""
    try:
        kept = from_json(Transfer, read_sealed(_path(key), RunError, ""))
    except (RunError, ValueError):
        return None
    return kept if kept.key == key else None


def _path(key: str) -> Path:
    return layout.main_checkout() / layout.ROWS / f"{key[:40]}.json"
