"""sweep: check all runs of a sweep, and print, run or submit those that are missing."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pipeline.commands.sweeps.bookkeeping import Outcome, Sweep, require_own_folder, write_sweep
from pipeline.commands.sweeps.jobs import Job, plan_jobs, write_command
from pipeline.commands.sweeps.local import run_locally
from pipeline.commands.sweeps.slurm import require_slurm, submit_jobs
from pipeline.commands.sweeps.states import JobState, Stand, list_states
from pipeline.config.sweep_file import SweepFile, read_sweep
from pipeline.config.sweep_runs import SweepRun, list_runs
from pipeline.errors import RunError
from pipeline.layout import CHAIN, PARAMS, PRESETS, RAW, SLOTS
from pipeline.runtime.dvc_repository import require_dvc_repository
from pipeline.runtime.git import find_commit, find_untracked_reason, list_pointers, run_git

TRACKED = ("pipeline", str(PARAMS), str(CHAIN), str(SLOTS))


def print_commands(file: Path) -> None:
    """Print a command for each run of a sweep, after all were checked."""
    for run in list_runs(read_sweep(file), str(file), PARAMS):
        print(shlex.join(["dvc", *write_command(run.name, run.overrides)]))


def show(file: Path) -> None:
    """Check a sweep, and say what it would run."""
    _, sweep = _prepare(file)
    states = list_states(sweep)
    print(f"{file}: {summarize(states)}")
    print("nothing was started; add --print, --local N or --slurm")


def run_here(file: Path, count: int) -> None:
    """Run what is missing of a sweep on this machine.

    Args:
        file: the sweep's file.
        count: how many at a time.

    Raises:
        PipelineError: runs are invalid, or cannot be run from here; or some have failed.
        InterruptedRunError: a signal stopped them.
    """
    _, sweep = _prepare(file)
    write_sweep(sweep)
    states = list_states(sweep)
    print(f"{file}: {summarize(states)}", flush=True)
    jobs = choose_jobs(states)
    left = Counter(job.target is None for job in jobs)
    ended = 0

    def tell(job: Job, outcome: Outcome | None) -> None:
        nonlocal ended
        ended += job.target is None
        count = f"{ended}/{left[True]} " if job.target is None else ""
        if outcome is None:
            print(f"{count}{job.name}: another process runs it", flush=True)
            return
        why = f": {outcome.reason.splitlines()[-1]}" if outcome.reason else ""
        print(f"{count}{job.name}: {outcome.state} after {outcome.seconds:.0f} s{why}", flush=True)

    run_locally(jobs, sweep.folder, count, tell)
    states = list_states(sweep)
    if any(state.stand is not Stand.done for state in states if state.job.target is None):
        raise RunError(
            f"{summarize(states)}; `cassle sweep status {file}` says why, and the same command "
            "runs again what is missing"
        )
    print(f"{summarize(states)}; now: cassle compare")


def submit(file: Path) -> None:
    """Give what is missing of a sweep to SLURM.

    Raises:
        PipelineError: runs are invalid, or SLURM does not take them.
    """
    require_slurm()
    given, sweep = _prepare(file)
    write_sweep(sweep)
    states = list_states(sweep)
    print(f"{file}: {summarize(states)}", flush=True)
    jobs = choose_jobs(states)
    # One that was queued again waits too, though its first part has an end written down.
    pending = [s.job.name for s in states if s.stand in (Stand.running, Stand.waiting)]
    for line in submit_jobs(jobs, sweep.folder, given.slurm, pending):
        print(line)
    if jobs:
        print(
            f"`cassle sweep status {file}` says how far they are; `squeue --me` and `scancel` are "
            "SLURM's"
        )


def choose_jobs(states: Sequence[JobState]) -> list[Job]:
    """Return the jobs to start: runs that are missing, and what they wait for if it is too."""
    idle = [
        state.job
        for state in states
        if state.stand not in (Stand.done, Stand.running, Stand.waiting)
    ]
    needed = {job.after for job in idle if job.target is None}
    return [job for job in idle if job.target is None or job.name in needed]


def summarize(states: Sequence[JobState]) -> str:
    """Return how many runs stand where, in words, and how many shared trainings are done."""
    runs = [state for state in states if state.job.target is None]
    first = [state for state in states if state.job.target is not None]
    counts = Counter(state.stand for state in runs)
    parts = [f"{counts[stand]} {stand}" for stand in Stand if counts[stand]]
    done = sum(state.stand is Stand.done for state in first)
    shared = f"; first tasks that runs share: {done} of {len(first)} done" if first else ""
    return f"{len(runs)} runs: {', '.join(parts)}{shared}"


def _prepare(file: Path) -> tuple[SweepFile, Sweep]:
    """Check a sweep and the repository; return both."""
    given = read_sweep(file)
    runs = list_runs(given, str(file), PARAMS)
    # A run's name says of a preset which, not what is in it.
    baseline = _require_committed(runs, [str(PRESETS)] if given.presets else [])
    sweep = Sweep(str(file), baseline, tuple(plan_jobs(runs, baseline)))
    require_own_folder(sweep)
    return given, sweep


def _require_committed(runs: Sequence[SweepRun], beside: Sequence[str]) -> str:
    """Return the commit that runs start from; all that they read is in it.

    Args:
        runs: all of them.
        beside: what else they are made from, as paths from here.

    Raises:
        RunError: something is not.
    """
    here = Path.cwd()
    if require_dvc_repository(here) != "git and DVC":
        raise RunError(f"{here} is in no git repository, where experiments are kept; `git init`")
    baseline = find_commit("HEAD")
    if baseline is None:
        raise RunError("there is no commit yet; runs of a sweep start from one: git commit")
    # What loaders fetch is read where it lies, and so is what has an absolute path. A folder of
    # one's own below theirs is not: DVC has to find it in the checkout.
    folders = [
        folder
        for folder in dict.fromkeys(folder for run in runs for folder in run.folders)
        if not Path(folder).is_absolute() and Path(folder) != RAW
    ]
    for folder in folders:
        if reason := find_untracked_reason(Path(folder)):
            raise RunError(
                f"the images in {folder}: the folder {reason}, so a checkout lacks it; name it by "
                f"its absolute path, {Path(folder).resolve()}, or track it (`dvc add`) and commit"
            )
    pointers = [str(each) for folder in folders for each in list_pointers(Path(folder))]
    changed = run_git("status", "--porcelain", "--", *TRACKED, *beside, *folders, *pointers)
    names = [line[3:] for line in (changed or b"").decode(errors="replace").splitlines()]
    if names:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        raise RunError(
            f"not committed: {', '.join(names[:3])}{more}; runs of a sweep start from a commit: "
            "commit it, or put it back"
        )
    return baseline
