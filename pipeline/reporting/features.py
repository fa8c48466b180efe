"""Read the features that an evaluation left, without torch."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from pipeline.errors import RunError

FORMAT = 1
HEADER = "cassle"
TYPES = {"features": "float32", "labels": "int64", "tasks": "int64"}


@dataclass(frozen=True)
class Features:
    """The features of all tasks' test images.

    Attributes:
        features: ``(M, F)``.
        labels: ``(M,)``, from 0.
        tasks: ``(M,)``, from 1.
    """

    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    tasks: NDArray[np.int64]


def read_features(path: Path, after_task: int, plan: str) -> Features | None:
    """Return the features after a task; None where there is no such file.

    Args:
        path: where from.
        after_task: the state whose features they have to be.
        plan: the digest of that evaluation's slot.

    Raises:
        RunError: damaged, of another format, state or plan.
    """
    remedy = f"run `cassle evaluate {after_task}` first (or `dvc repro`)"
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="np") as file:
            text = (file.metadata() or {}).get(HEADER)
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        header = json.loads(text) if text is not None else {}
        if not isinstance(header, dict):
            raise ValueError(f"its header is a {type(header).__name__}, expected an object")
    except (OSError, SafetensorError, ValueError) as error:
        raise RunError(f"{path} holds no features or is damaged ({error}); {remedy}") from error
    expected = {"format": FORMAT, "after_task": after_task, "plan": plan}
    for key, value in expected.items():
        if header.get(key) != value:
            raise RunError(f"{path} has {key} {header.get(key)}, expected {value}; {remedy}")
    found = {name: str(array.dtype) for name, array in arrays.items()}
    if found != TYPES:
        raise RunError(f"{path} holds {found}, expected {TYPES}; {remedy}")
    shapes = [arrays[name].shape for name in TYPES]
    if len(shapes[0]) != 2 or shapes[1:] != [shapes[0][:1]] * 2:
        raise RunError(f"{path} holds shapes {shapes}, expected (M, F), (M,) and (M,); {remedy}")
    if header.get("content") != content(arrays):
        raise RunError(f"{path} is damaged: its arrays do not match its checksum; {remedy}")
    return Features(**arrays)


def content(arrays: dict[str, NDArray[np.generic]]) -> str:
    """Return the SHA-256 that ``pipeline.state`` writes for the same tensors."""
    total = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        total.update(f"{name} torch.{array.dtype} {array.shape}\n".encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()
