"""Read the features that an evaluation left, strictly, with NumPy alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline import layout
from pipeline.errors import RunError
from pipeline.files.sealed_json import Json
from pipeline.files.tensors import read_arrays

TYPES = {"features": "float32", "labels": "int64", "tasks": "int64"}


@dataclass(frozen=True)
class Features:
    """The features of all tasks' test images after one task.

    Attributes:
        features: float32 ``(M, F)``.
        labels: classes, int64 ``(M,)``.
        tasks: the task that each image belongs to, from 1, int64 ``(M,)``.
    """

    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    tasks: NDArray[np.int64]


def read_features(after: int, expected: Json, remedy: str) -> Features:
    """Return the features after task ``after``; 0 is the random network.

    Args:
        after: the task.
        expected: what the file's header has to say: the digest of the evaluation's slot in the
            plan (``plan``), and the SHA-256 that the evaluation noted (``content``).
        remedy: what makes the right file, for the message.

    Raises:
        RunError: missing, damaged, or not those.
    """
    path = layout.features(after)
    arrays, header = read_arrays(path, RunError, remedy)
    for key, value in {"after_task": after, **expected}.items():
        if header.get(key) != value:
            raise RunError(
                f"{path} has {key} {_short(header.get(key))}, expected {_short(value)}; {remedy}"
            )
    found = {name: str(array.dtype) for name, array in arrays.items()}
    shapes = {name: array.shape for name, array in arrays.items()}
    if found != TYPES or not _fit(shapes):
        raise RunError(f"{path} holds {found} of shapes {shapes}, expected {TYPES}; {remedy}")
    return Features(**arrays)  # type: ignore[arg-type]


def _fit(shapes: dict[str, tuple[int, ...]]) -> bool:
    one, many = shapes["labels"], shapes["features"]
    return len(many) == 2 and len(one) == 1 and one == shapes["tasks"] == many[:1]


def _short(value: object) -> str:
    return value[:12] if isinstance(value, str) and len(value) == 64 else repr(value)
