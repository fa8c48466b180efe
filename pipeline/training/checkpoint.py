"""Where a task's training is saved while it runs, so that a killed one goes on.

A checkpoint lies outside DVC's outputs, which DVC deletes before a stage runs: in a folder
under ``.scratch/checkpoints`` of the main checkout, also for queued experiments. The folder
is named by the task and by a fingerprint of all that shapes the result, so nothing but the
same training finds it, and it is locked while a process trains. It is gone once the stage after
the task has begun: until then DVC may not have the task's state, e.g. if its cache was full.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from filelock import FileLock, Timeout

from pipeline import layout
from pipeline.errors import RunError, StateError
from pipeline.files.atomic import remove_unfinished
from pipeline.files.sealed_json import Json
from pipeline.files.tensors import read_tensors, write_tensors
from pipeline.runtime.locks import take_lock
from pipeline.training.saved import FILE, LOCK
from pipeline.training.snapshot import Snapshot

logger = logging.getLogger(__name__)

SHOWN = 12  # digits of a fingerprint in a folder's name


class Checkpoint:
    """The place of one training's checkpoint; the process holds its lock.

    Args:
        folder: where.
        task: the number of the task.
        fingerprint: of all that shapes the result.
        plan: the digest of the task's slot of the plan.
    """

    def __init__(self, folder: Path, task: int, fingerprint: str, plan: str) -> None:
        self.path = folder / FILE
        self.task = task
        self.fingerprint = fingerprint
        self.plan = plan

    def load(self) -> Snapshot | None:
        """Return the saved snapshot; None if there is none that can be used."""
        if not self.path.exists():
            return None
        try:
            tensors, header = read_tensors(self.path, StateError, "the task begins anew")
            if header.get("fingerprint") != self.fingerprint:
                raise StateError(f"{self.path} is of another training; the task begins anew")
        except StateError as error:
            logger.warning("%s", error)
            return None
        return Snapshot(tensors, cast(Json, header["record"]))

    def store(self, snapshot: Snapshot) -> None:
        """Write a snapshot in the place of the one before, whole or not at all.

        Raises:
            RunError: it cannot be written; the one before stays.
        """
        header: Json = {
            "task": self.task,
            "fingerprint": self.fingerprint,
            "plan": self.plan,
            "record": snapshot.record,
        }
        write_tensors(self.path, snapshot.tensors, header)


@contextmanager
def lock_checkpoint(task: int, fingerprint: str, plan: str) -> Iterator[Checkpoint]:
    """Hold the checkpoint of a training: an unused one that was saved, or a new one.

    Two processes that train the same (two workers of a queue, say) hold one each.

    Args:
        task: the number of the task.
        fingerprint: SHA-256 of all that shapes the result.
        plan: the digest of the task's slot of the plan.

    Raises:
        RunError: the folder cannot be made.
    """
    root = layout.main_checkout() / layout.CHECKPOINTS
    name = f"train_{task}-{fingerprint[:SHOWN]}"
    try:
        saved = sorted(path.parent for path in root.glob(f"{name}*/{FILE}"))
        folder, lock = _lock_first([*saved, root / name], root / name)
    except OSError as error:
        raise RunError(f"cannot write {root / name}: {error.strerror or error}") from error
    checkpoint = Checkpoint(folder, task, fingerprint, plan)
    try:
        remove_unfinished(checkpoint.path)
        yield checkpoint
    finally:
        if not checkpoint.path.exists():
            # While it is held: who waits for the lock then finds that its file is gone.
            shutil.rmtree(folder, ignore_errors=True)
        lock.release()


def _lock_first(wanted: list[Path], name: Path) -> tuple[Path, FileLock]:
    """Lock the first folder that nobody holds; after those wanted come name-2, name-3, ..."""
    number = 1
    while True:
        number += not wanted
        folder = wanted.pop(0) if wanted else name.with_name(f"{name.name}-{number}")
        folder.mkdir(parents=True, exist_ok=True)
        try:
            return folder, take_lock(folder / LOCK, 0)
        except Timeout:
            continue
