"""The features of all tasks' test images after one task."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline import layout
from pipeline.artifacts.evaluation import make_command
from pipeline.errors import RunError
from pipeline.files.sealed_json import Json
from pipeline.files.tensors import read_arrays, write_tensors

if TYPE_CHECKING:
    from torch import Tensor

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


def write_features(
    path: Path, features: Tensor, labels: Tensor, tasks: Tensor, after_task: int, plan: str
) -> str:
    """Write features; return the SHA-256 of their content.

    Args:
        path: where to.
        features: float32 ``(M, F)``.
        labels: classes, int64 ``(M,)``.
        tasks: the task of each image, from 1, int64 ``(M,)``.
        after_task: the last task the state has learnt.
        plan: the digest of the plan of the evaluation.

    Raises:
        RunError: they cannot be written.
    """
    held = {"features": features, "labels": labels, "tasks": tasks}
    return write_tensors(path, held, {"after_task": after_task, "plan": plan})


def read_features(after_task: int, plan: str, content: str | None = None) -> Features:
    """The features after a task, read with NumPy alone.

    Args:
        after_task: 0 is the random network.
        plan: the digest of the plan of the evaluation they have to be of.
        content: the SHA-256 that the evaluation noted; None: any.

    Raises:
        RunError: missing, damaged, or not those.
    """
    path, remedy = layout.features(after_task), make_command(after_task)
    arrays, header = read_arrays(path, RunError, remedy)
    expected: Json = {"after_task": after_task, "plan": plan}
    if content is not None:
        expected["content"] = content
    for key, value in expected.items():
        if header.get(key) != value:
            raise RunError(
                f"{path} has {key} {_short(header.get(key))}, expected {_short(value)}; {remedy}"
            )
    found = {name: str(array.dtype) for name, array in arrays.items()}
    shapes = {name: array.shape for name, array in arrays.items()}
    if found != TYPES or not _fit(shapes):
        raise RunError(f"{path} holds {found} of shapes {shapes}, expected {TYPES}; {remedy}")
    return Features(
        arrays["features"].astype(np.float32, copy=False),
        arrays["labels"].astype(np.int64, copy=False),
        arrays["tasks"].astype(np.int64, copy=False),
    )


def _fit(shapes: dict[str, tuple[int, ...]]) -> bool:
    one, many = shapes["labels"], shapes["features"]
    return len(many) == 2 and len(one) == 1 and one == shapes["tasks"] == many[:1]


def _short(value: object) -> str:
    return value[:12] if isinstance(value, str) and len(value) == 64 else repr(value)
