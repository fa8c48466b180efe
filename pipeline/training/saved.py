"""Trainings that were saved: what a checkpoint is of, and when it may go.

Importing this module imports no torch.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import Timeout

from pipeline import layout
from pipeline.errors import StateError
from pipeline.files.tensors import read_tensor_header
from pipeline.files.typed_json import get_typed
from pipeline.runtime.locks import open_lock

FILE = "checkpoint.safetensors"
LOCK = "lock"


@dataclass(frozen=True)
class SavedTraining:
    """What a checkpoint is of.

    Attributes:
        task: the number of the task.
        plan: the digest of its plan.
        step: the last step that it has taken.
    """

    task: int
    plan: str
    step: int


def read_saved(folder: Path) -> SavedTraining:
    """What the checkpoint in a folder is of; its tensors are not read.

    Raises:
        ValueError: it is missing or damaged.
    """
    try:
        header = read_tensor_header(folder / FILE, StateError, "the task begins anew")
    except StateError as error:
        raise ValueError(str(error)) from error
    return SavedTraining(
        task=get_typed(header, int, "task"),
        plan=get_typed(header, str, "plan"),
        step=get_typed(header, int, "record", "step"),
    )


def remove_finished(task: int, plan: str) -> None:
    """Remove the checkpoints of a training whose state is where it belongs.

    One that a process holds stays.

    Args:
        task: the number of the task.
        plan: the digest of its plan.
    """
    root = layout.main_checkout() / layout.CHECKPOINTS
    for folder in sorted(root.glob(f"train_{task}-*")):
        with suppress(OSError, ValueError):
            remove_unheld(folder, plan)


def remove_unheld(folder: Path, plan: str | None = None) -> bool:
    """Remove a folder unless a process holds its lock; return whether it was removed.

    Args:
        folder: of a checkpoint.
        plan: the digest of the plan that the checkpoint has to be of; None: any, or none.

    Raises:
        OSError: something in it cannot be removed.
        ValueError: the checkpoint is missing or damaged, where a plan is asked for.
    """
    try:
        with open_lock(folder / LOCK, 0):
            if plan is not None and read_saved(folder).plan != plan:
                return False
            shutil.rmtree(folder)
    except Timeout:
        return False
    return True
