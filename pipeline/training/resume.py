"""Go on with a training where an earlier process left it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import cast

from pipeline import layout
from pipeline.distributed.group import Group
from pipeline.errors import RunError
from pipeline.runtime.elapsed import Elapsed
from pipeline.training.checkpoint import Checkpoint, lock_checkpoint
from pipeline.training.learner import Learner
from pipeline.training.snapshot import restore_snapshot

CLOCKS = tuple(field.name for field in fields(Elapsed))


@contextmanager
def hold_checkpoint(group: Group, task: int, fingerprint: str, plan: str) -> Iterator[Checkpoint]:
    """Lock a checkpoint in the first process; all processes read it."""
    if group.processes.first:
        with lock_checkpoint(task, fingerprint, plan) as checkpoint:
            group.broadcast(str(checkpoint.path.parent))
            yield checkpoint
    else:
        yield Checkpoint(Path(group.broadcast("")), task, fingerprint, plan)


def resume(learner: Learner, checkpoint: Checkpoint, group: Group) -> Elapsed:
    """Bring a learner to where the checkpoint is, if there is one; return the time so far.

    Raises:
        RunError: the processes have not read the same.
    """
    elapsed = Elapsed()
    with group.fail_together():
        snapshot = checkpoint.load()
        if snapshot is not None:
            restore_snapshot(learner, snapshot)
            elapsed = Elapsed(*(cast(float, snapshot.record[name]) for name in CLOCKS))
    at = learner.position
    last, first = group.max_over_ranks(at.step, -at.step)
    if last != -first:
        error = RunError(
            f"some processes go on after step {-first} and some after {last}; put "
            f"{layout.CHECKPOINTS} where all machines see the same files"
        )
        raise group.mark_reported(error)
    if snapshot is not None and group.processes.first:
        done = f"task {learner.task} goes on after step {at.step} of {learner.steps.total}"
        print(done, file=sys.stderr, flush=True)
    return elapsed
