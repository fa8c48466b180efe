"""One job of a sweep, from its checkout to its experiment."""

from __future__ import annotations

import os
import re
import sys
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pipeline import layout
from pipeline.commands.sweeps.bookkeeping import (
    CHECKOUT,
    LOG,
    OUTCOME,
    JobState,
    Outcome,
    hold_job,
    job_folder,
    read_outcome,
    write_outcome,
)
from pipeline.commands.sweeps.checkout import (
    MISLEADING,
    git,
    keep_experiment,
    make_checkout,
    remove_checkout,
)
from pipeline.commands.sweeps.jobs import Job, write_command
from pipeline.commands.sweeps.processes import JobProcesses, StoppedJobError
from pipeline.errors import PipelineError, RunError
from pipeline.files.append import append_line, open_log, read_tail

TRIES = 5
STOPPED = "stopped; it goes on where it was"
SHOWN = 3  # lines of a log that say why a job failed
# Two that come to a stage at once can meet in DVC's run cache (3.67): one deletes what the other
# is writing. What has been run is kept, so the next try goes on from there.
RACE = re.compile(r"No such file or directory.*[/\\]runs[/\\][0-9a-f]{2}[/\\]")


def run_job(
    job: Job, sweep: Path, processes: JobProcesses, variables: Mapping[str, str] | None = None
) -> Outcome:
    """Run a job, and write down how it ended.

    Args:
        job: what to run.
        sweep: the folder of the sweep's bookkeeping.
        processes: starts what it runs.
        variables: of the environment, beside those of this process.

    Raises:
        BusyError: another process runs it.
    """
    folder = job_folder(sweep, job.name)
    with hold_job(folder) as lock, open_log(folder / LOG) as log:
        (folder / OUTCOME).unlink(missing_ok=True)
        began, reason = time.monotonic(), ""
        state: JobState = "stopped"
        try:
            append_line(log, f"-- {time.strftime('%Y-%m-%d %H:%M:%S')} {job.name}")
            _require_first(job, sweep)
            _run(job, folder, processes, variables or {}, log, lock)
            state = "done"
        except Exception as error:
            if not _is_stop(error, processes):
                state, reason = "failed", _explain(error)
            with suppress(OSError):  # the disk may be full
                append_line(log, f"failed: {reason}" if state == "failed" else STOPPED)
                if not isinstance(error, PipelineError | StoppedJobError):
                    append_line(log, traceback.format_exc())
        finally:
            # Also where a signal's handler ends this process.
            outcome = Outcome(state, round(time.monotonic() - began, 1), reason)
            write_outcome(folder, outcome)
            with suppress(RunError):
                remove_checkout(folder / CHECKOUT)
    return outcome


def _is_stop(error: Exception, processes: JobProcesses) -> bool:
    """Return whether a job ended because it was stopped, which may fail what it was at."""
    return isinstance(error, StoppedJobError) or (
        processes.stopped and isinstance(error, PipelineError)
    )


def _explain(error: Exception) -> str:
    if isinstance(error, PipelineError | OSError):
        return str(error)
    return f"{type(error).__name__}: {error}"


def _require_first(job: Job, sweep: Path) -> None:
    """Check that the shared training that a job waits for has not failed.

    Raises:
        RunError: it has.
    """
    first = None if job.after is None else read_outcome(job_folder(sweep, job.after))
    if first is not None and first.state == "failed":
        raise RunError(f"its first task failed ({job.after}): {first.reason}")


def _run(
    job: Job,
    folder: Path,
    processes: JobProcesses,
    variables: Mapping[str, str],
    log: int,
    lock: int,
) -> None:
    """Run a job in a new checkout.

    Raises:
        StoppedJobError: it was stopped.
        RunError: it failed.
    """
    checkout = (folder / CHECKOUT).resolve()
    environment = _choose_environment(checkout, variables)
    dvc = [sys.executable, "-m", "dvc"]
    # What persists between runs has to be there, as in a run of DVC's own queue.
    restore = [*dvc, "checkout", "--quiet", "--force", "--allow-missing"]
    command = [*dvc, *write_command(job.name, job.overrides)]
    command += [] if job.target is None else [job.target]
    for left in reversed(range(TRIES)):
        root = make_checkout(checkout, job.baseline)
        if git("-C", str(root), "ls-files", "--", "*.dvc", "*dvc.lock"):
            processes.run(restore, root, environment, log, lock)
        if processes.run(command, root, environment, log, lock) == 0:
            break
        lines = read_tail(folder / LOG)
        if not left or not any(RACE.search(line) for line in lines[-20:]):
            raise RunError(_find_reason(lines))
        append_line(log, "another run was writing the same into DVC's run cache; once more")
    if job.target is None:
        keep_experiment(checkout, job.baseline, job.name)


def _choose_environment(checkout: Path, variables: Mapping[str, str]) -> dict[str, str]:
    found = {name: value for name, value in os.environ.items() if name not in MISLEADING}
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {
        **found,
        "PATH": programs,
        # Checkpoints, images and features lie where the project is, as with DVC's own queue.
        layout.SWEEP_ROOT: str(Path.cwd()),
        # What DVC knows of a checkout goes with it.
        "DVC_SITE_CACHE_DIR": str(checkout / ".git" / "dvc-site"),
        **variables,
    }


def _find_reason(lines: list[str]) -> str:
    """Return why a run failed: what our stages said, else the last lines."""
    ours = [line.removeprefix("error: ") for line in lines[-20:] if line.startswith("error: ")]
    return "\n".join(ours[-SHOWN:] or lines[-SHOWN:]) or "it said nothing"
