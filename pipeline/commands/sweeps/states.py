"""Where each job of a sweep stands, from git, locks, SLURM and what is written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pipeline.commands.sweeps.bookkeeping import (
    LOG,
    Sweep,
    is_held,
    job_folder,
    read_outcome,
    read_slurm_id,
)
from pipeline.commands.sweeps.checkout import name_reference
from pipeline.commands.sweeps.jobs import Job
from pipeline.commands.sweeps.slurm import FOLDER, read_queue
from pipeline.files.append import read_tail
from pipeline.runtime.git import list_references

SHOWN = 5  # lines of a log


class Stand(StrEnum):
    """Where a job stands."""

    done = "done"
    running = "running"
    waiting = "waiting"
    failed = "failed"
    stopped = "stopped"
    missing = "to do"


@dataclass(frozen=True)
class JobState:
    """Where a job stands, and what there is to say of it.

    Attributes:
        job: the job.
        stand: where it stands.
        lines: how far it is, or why it failed.
    """

    job: Job
    stand: Stand
    lines: tuple[str, ...] = ()


def list_states(sweep: Sweep) -> list[JobState]:
    """Return where all jobs of a sweep stand.

    Raises:
        RunError: SLURM has jobs of it, and does not answer.
    """
    base = sweep.baseline
    kept = set(list_references(f"refs/exps/{base[:2]}/{base[2:]}"))
    folders = [job_folder(sweep.folder, job.name) for job in sweep.jobs]
    identities = [read_slurm_id(folder) for folder in folders]
    queue = read_queue() if any(identities) else {}
    return [
        _find_state(job, folder, name_reference(base, job.name) in kept, identity, queue)
        for job, folder, identity in zip(sweep.jobs, folders, identities, strict=True)
    ]


def _find_state(
    job: Job, folder: Path, kept: bool, identity: str | None, queue: Mapping[str, tuple[str, str]]
) -> JobState:
    if kept:
        return JobState(job, Stand.done)
    if is_held(folder):
        return JobState(job, Stand.running, tuple(read_tail(folder / LOG)[-1:]))
    outcome = read_outcome(folder)
    if outcome is not None and outcome.state == "done" and job.target is not None:
        return JobState(job, Stand.done)
    state, why = queue.get(identity or "", ("", ""))
    if state == "PENDING":
        number = (identity or "").partition("_")[0]
        again = "to go on where it was: " if (folder / LOG).exists() else ""
        return JobState(job, Stand.waiting, (f"{again}SLURM's job {number} ({why})",))
    if state:
        return JobState(job, Stand.running, tuple(read_tail(folder / LOG)[-1:]))
    if outcome is not None and outcome.state == "failed":
        return JobState(job, Stand.failed, tuple(outcome.reason.split("\n")[-SHOWN:]))
    if identity is not None and outcome is None:
        return JobState(job, Stand.failed, tuple(_explain_loss(folder, identity)))
    if (folder / LOG).exists() and (outcome is None or outcome.state == "stopped"):
        return JobState(job, Stand.stopped, tuple(read_tail(folder / LOG)[-1:]))
    return JobState(job, Stand.missing)


def _explain_loss(folder: Path, identity: str) -> list[str]:
    """Return what there is to say of a job that SLURM ended, or that ended without a word."""
    said = read_tail(folder.parent.parent / FOLDER / f"{identity}_0_log.err")
    named = [line for line in said if "error" in line.lower() or "slurmstepd" in line]
    lines = [*named[-2:], *read_tail(folder / LOG)[-1:]]
    return [f"SLURM's job {identity} has ended without a word", *lines]
