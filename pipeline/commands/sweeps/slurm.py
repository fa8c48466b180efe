"""Jobs of a sweep as arrays of SLURM, given to it through submitit."""

from __future__ import annotations

import importlib.util
import shutil
import signal
import subprocess
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.commands.sweeps.bookkeeping import (
    job_folder,
    read_slurm_id,
    write_slurm_id,
)
from pipeline.commands.sweeps.jobs import Job
from pipeline.commands.sweeps.processes import JobProcesses
from pipeline.commands.sweeps.run_job import run_job
from pipeline.config.sweep_file import Slurm
from pipeline.errors import RunError

if TYPE_CHECKING:
    import submitit

TIMEOUTS = 1000  # after so many times in the queue a run is given up; each goes on where it was
FOLDER = "slurm"  # of submitit's files, and what SLURM says
# What SLURM sends a job before its time is over (submitit's choice), and NCCL's neighbour.
WARNINGS = (signal.SIGUSR1, signal.SIGUSR2)


class SlurmTask:
    """Runs a job where SLURM has put it; submitit calls it.

    Args:
        sweep: the folder of the sweep's bookkeeping.
    """

    def __init__(self, sweep: Path) -> None:
        self.sweep = sweep

    def __call__(self, job: Job) -> str:
        """Run a job.

        Raises:
            RunError: it failed, so that SLURM says so too.
        """
        self._processes = JobProcesses(WARNINGS)
        outcome = run_job(job, self.sweep, self._processes)
        if outcome.state == "failed":
            raise RunError(outcome.reason)
        return outcome.state

    def checkpoint(self, job: Job) -> submitit.helpers.DelayedSubmission:
        """Have the training saved; return what goes on once the job is back from the queue."""
        from submitit.helpers import DelayedSubmission

        self._processes.stop()
        self._processes.await_end()
        return DelayedSubmission(SlurmTask(self.sweep), job)


def require_slurm() -> None:
    """Check that jobs can be given to SLURM from here.

    Raises:
        RunError: they cannot.
    """
    if importlib.util.find_spec("submitit") is None:
        raise RunError(
            "--slurm needs submitit, which is not installed; install it with: "
            "pip install 'cassle-pipeline[slurm]', or use --local"
        )
    if shutil.which("sbatch") is None or shutil.which("srun") is None:
        raise RunError(
            "--slurm needs SLURM's sbatch and srun, which are not here; run this on a machine of "
            "the cluster, or use --local"
        )


def submit_jobs(
    jobs: Sequence[Job], sweep: Path, options: Slurm, pending: Collection[str] = ()
) -> list[str]:
    """Give jobs to SLURM: an array of the runs, and one of the trainings that they wait for.

    Args:
        jobs: of the sweep.
        sweep: the folder of its bookkeeping.
        options: what SLURM is asked for.
        pending: the names of trainings that SLURM has already and that have not ended.

    Returns:
        A line for each array.

    Raises:
        RunError: SLURM refuses it.
    """
    lines = []
    firsts = [job for job in jobs if job.target]
    awaited = {*pending, *(job.name for job in firsts)}
    for wave, what in (
        (firsts, "first tasks"),
        ([job for job in jobs if not job.target], "runs"),
    ):
        if wave:
            before = awaited & {job.after for job in wave}
            identity = _submit(wave, sweep, options, before)
            lines.append(
                f"job {identity}: {len(wave)} {what}, {options.at_once} at a time or fewer"
            )
    return lines


def _submit(wave: Sequence[Job], sweep: Path, options: Slurm, awaited: Collection[str]) -> str:
    """Submit one array, which waits for trainings; return its identity."""
    import submitit
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    known = [read_slurm_id(job_folder(sweep, name)) for name in awaited]
    # The runs look themselves whether it has failed.
    before = sorted({identity.partition("_")[0] for identity in known if identity is not None})
    executor = submitit.AutoExecutor(
        sweep.resolve() / FOLDER, cluster="slurm", slurm_max_num_timeout=TIMEOUTS
    )
    optional: dict[str, Any] = {
        "slurm_partition": options.partition,
        "mem_gb": options.memory,
        "gpus_per_node": options.gpus or None,
        "slurm_dependency": f"afterany:{':'.join(before)}" if before else None,
        "slurm_setup": options.setup or None,
    }
    try:
        executor.update_parameters(
            name=sweep.name,
            timeout_min=options.time,
            cpus_per_task=options.cpus,
            slurm_array_parallelism=options.at_once,
            slurm_additional_parameters={"requeue": True, **options.extra},
            **{name: value for name, value in optional.items() if value is not None},
        )
        given = executor.map_array(SlurmTask(sweep), list(wave))
    except (FailedJobError, FailedSubmissionError) as error:
        said = [line for line in str(error).splitlines() if "error" in line.lower()]
        raise RunError(f"SLURM refuses the jobs: {' '.join(said) or error}") from error
    for job, held in zip(wave, given, strict=True):
        write_slurm_id(job_folder(sweep, job.name), held.job_id)
    return given[0].job_id.partition("_")[0]


def read_queue() -> dict[str, tuple[str, str]]:
    """Return SLURM's word for the state of each of this user's jobs, and why it waits.

    By the job's identity; nothing where there is no SLURM.

    Raises:
        RunError: it does not answer.
    """
    if (program := shutil.which("squeue")) is None:
        return {}
    form = "%F|%K|%T|%r"
    told = subprocess.run(
        [program, "--me", "--noheader", "--array", "--format", form], capture_output=True, text=True
    )
    if told.returncode != 0:
        raise RunError(f"SLURM does not answer: {' '.join(told.stderr.split())}; try again")
    states = {}
    for line in told.stdout.splitlines():
        number, place, state, why = line.strip().split("|", 3)
        states[f"{number}_{place}" if place.isdecimal() else number] = (state, why)
    return states
