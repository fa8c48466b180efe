"""The features of all tasks' test images after the last state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline import layout
from pipeline.artifacts.evaluation import REMEDY
from pipeline.errors import RunError
from pipeline.files.tensors import read_arrays, write_tensors

if TYPE_CHECKING:
    from torch import Tensor

TYPES = {"features": "float32", "labels": "int64", "tasks": "int64"}


@dataclass(frozen=True)
class Features:
    """The features of all tasks' test images after the last state.

    Attributes:
        features: float32 ``(M, F)``.
        labels: classes, int64 ``(M,)``.
        tasks: the task that each image belongs to, from 1, int64 ``(M,)``.
    """

    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    tasks: NDArray[np.int64]


def write_features(features: Tensor, labels: Tensor, tasks: Tensor) -> str:
    """Write features; return the SHA-256 of their content.

    Args:
        features: float32 ``(M, F)``.
        labels: classes, int64 ``(M,)``.
        tasks: the task of each image, from 1, int64 ``(M,)``.

    Raises:
        RunError: they cannot be written.
    """
    held = {"features": features, "labels": labels, "tasks": tasks}
    return write_tensors(layout.FEATURES, held, {})


def read_features(content: str) -> Features:
    """The features, read with NumPy alone.

    Args:
        content: their SHA-256, as the evaluations have it.

    Raises:
        RunError: missing, damaged, or not those.
    """
    path = layout.FEATURES
    arrays, header = read_arrays(path, RunError, REMEDY)
    if header.get("content") != content:
        raise RunError(f"{path} is of another evaluation; {REMEDY}")
    found = {name: str(array.dtype) for name, array in arrays.items()}
    shapes = {name: array.shape for name, array in arrays.items()}
    if found != TYPES or not _fit(shapes):
        raise RunError(f"{path} holds {found} of shapes {shapes}, expected {TYPES}; {REMEDY}")
    return Features(
        arrays["features"].astype(np.float32, copy=False),
        arrays["labels"].astype(np.int64, copy=False),
        arrays["tasks"].astype(np.int64, copy=False),
    )


def _fit(shapes: dict[str, tuple[int, ...]]) -> bool:
    one, many = shapes["labels"], shapes["features"]
    return len(many) == 2 and len(one) == 1 and one == shapes["tasks"] == many[:1]
