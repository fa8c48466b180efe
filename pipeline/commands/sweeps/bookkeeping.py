"""What is written down of a sweep, under ``.scratch/sweeps``: its jobs, their logs and ends.

Results are not here, but in DVC's cache and in git, as experiments. The folder can be deleted.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline import layout
from pipeline.commands.sweeps.jobs import Job
from pipeline.errors import RunError
from pipeline.files.atomic import write_text
from pipeline.files.sealed_json import read_sealed, write_sealed
from pipeline.files.typed_json import as_json, from_json
from pipeline.runtime.locks import NO_LOCKS

JOBS = "jobs.json"
OUTCOME = "outcome.json"
LOG = "log.txt"
LOCK = "lock"  # as of a checkpoint: `cassle clean` looks whether it is held
CHECKOUT = "checkout"
SLURM_ID = "slurm_id"
LOCK_SECONDS = 1.0  # who looks whether a job is held holds it for a moment
POLL_SECONDS = 0.02
REMEDY = "start the sweep again"


class BusyError(RunError):
    """Another process runs the same job."""


JobState = Literal["done", "failed", "stopped"]


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Attributes:
        state: done, failed, or stopped by a signal.
        seconds: since it began.
        reason: of a failure, in lines.
    """

    state: JobState
    seconds: float
    reason: str = ""


@dataclass(frozen=True)
class Sweep:
    """A sweep as it was last started.

    Attributes:
        file: its file.
        baseline: the commit whose experiments its runs are.
        jobs: all of them.
    """

    file: str
    baseline: str
    jobs: tuple[Job, ...]

    @property
    def folder(self) -> Path:
        """The folder of its bookkeeping."""
        return find_folder(Path(self.file))


def find_folder(file: Path) -> Path:
    """Return the folder of a sweep's bookkeeping, named by the sweep's file."""
    return layout.SWEEPS / file.stem


def are_different(file: Path, other: Path) -> bool:
    """Return whether two paths lead to two files that are both there."""
    return file.is_file() and other.is_file() and not file.samefile(other)


def require_own_folder(sweep: Sweep) -> None:
    """Check that the folder of a sweep's bookkeeping is not that of another file.

    Raises:
        RunError: it is, and that file is still there.
    """
    try:
        other = read_sweep(sweep.folder).file
    except RunError:
        return  # it is written anew
    if are_different(Path(other), Path(sweep.file)):
        raise RunError(
            f"{sweep.file} and {other} have the same name, and the bookkeeping of both would be "
            f"in {sweep.folder}; rename one of them"
        )


def write_sweep(sweep: Sweep) -> None:
    """Write down a sweep that starts."""
    write_sealed(sweep.folder / JOBS, as_json(sweep))


def read_sweep(folder: Path) -> Sweep:
    """Return a sweep that was started.

    Raises:
        RunError: its bookkeeping is missing or damaged.
    """
    held = read_sealed(folder / JOBS, RunError, REMEDY)
    try:
        return from_json(Sweep, held)
    except ValueError as error:
        raise RunError(f"{folder / JOBS} is of another version ({error}); {REMEDY}") from error


def job_folder(sweep: Path, job: str) -> Path:
    """Return the folder of a job's bookkeeping."""
    return sweep / "jobs" / job


def write_outcome(folder: Path, outcome: Outcome) -> None:
    """Write down how a job ended."""
    write_sealed(folder / OUTCOME, as_json(outcome))


def read_outcome(folder: Path) -> Outcome | None:
    """Return how a job ended; None: it has not, or nobody wrote it down."""
    try:
        return from_json(Outcome, read_sealed(folder / OUTCOME, RunError, REMEDY))
    except (RunError, ValueError):
        return None


def forget_end(folder: Path) -> None:
    """Remove what is written down of a job's end, and of its place in a queue."""
    for name in (OUTCOME, SLURM_ID):
        (folder / name).unlink(missing_ok=True)


def write_slurm_id(folder: Path, identity: str) -> None:
    """Write down what SLURM calls a job."""
    forget_end(folder)
    write_text(folder / SLURM_ID, identity)


def read_slurm_id(folder: Path) -> str | None:
    """Return what SLURM calls a job; None: it was not given to it."""
    try:
        return (folder / SLURM_ID).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None


@contextmanager
def hold_job(folder: Path, seconds: float = LOCK_SECONDS) -> Iterator[int]:
    """Hold the lock of a job; yield its descriptor.

    A process that inherits the descriptor holds the lock too, so a job counts as running until
    the last of its processes has ended, in whatever way.

    Args:
        folder: of the job's bookkeeping.
        seconds: how long to try.

    Raises:
        BusyError: another process holds it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise RunError(f"cannot write {folder}: {error.strerror or error}") from error
    try:
        _lock(handle, folder, time.monotonic() + seconds)
        yield handle
    finally:
        os.close(handle)


def is_held(folder: Path) -> bool:
    """Return whether a process of this machine runs a job."""
    if not (folder / LOCK).exists():
        return False
    try:
        with hold_job(folder, seconds=0):
            return False
    except RunError:
        return True


def _lock(handle: int, folder: Path, until: float) -> None:
    while True:
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in NO_LOCKS:
                return None  # as a cluster's file system may; SLURM knows what runs there
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise RunError(f"cannot lock {folder / LOCK}: {error.strerror or error}") from error
        if time.monotonic() >= until:
            raise BusyError(f"{folder.name} is being run already")
        time.sleep(POLL_SECONDS)
