"""sweep status: what is done, running and failed of sweeps, and why."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.commands.sweeps.bookkeeping import (
    JOBS,
    are_different,
    find_folder,
    read_sweep,
)
from pipeline.commands.sweeps.start import summarize
from pipeline.commands.sweeps.states import Stand, list_states
from pipeline.errors import RunError
from pipeline.layout import SWEEPS
from pipeline.reporting.text_formats import show_controls

QUIET = (Stand.done, Stand.missing)  # are counted, not listed


def print_status(file: Path | None) -> None:
    """Print where the runs of a sweep stand, or of all sweeps that were started here.

    Args:
        file: the sweep's file; None: all.

    Raises:
        RunError: there are none, or SLURM does not answer.
    """
    known = sorted(path.parent for path in SWEEPS.glob(f"*/{JOBS}"))
    folders = known if file is None else [find_folder(file)]
    if not folders or not all((folder / JOBS).is_file() for folder in folders):
        which = f"{file} was not started here" if file is not None else "no sweep was started here"
        names = ", ".join(folder.name for folder in known)
        there = f"; started were: {names}" if names else ""
        raise RunError(f"{which}{there}; start one: cassle sweep FILE --local 2")
    for folder in folders:
        sweep = read_sweep(folder)
        if file is not None and are_different(file, Path(sweep.file)):
            raise RunError(f"{file} was not started here, but {sweep.file}, of the same name")
        states = list_states(sweep)
        print(f"{sweep.file}, from commit {sweep.baseline[:7]}")
        print(f"  {summarize(states)}")
        for state in states:
            if state.stand not in (*QUIET, Stand.waiting):
                _print(state.stand, state.job.name, state.lines)
        # A hundred runs of one array wait for one reason.
        alike: dict[tuple[str, ...], list[str]] = {}
        for state in states:
            if state.stand is Stand.waiting:
                alike.setdefault(state.lines, []).append(state.job.name)
        for lines, jobs in alike.items():
            _print(Stand.waiting, jobs[0] if len(jobs) == 1 else f"{len(jobs)} jobs", lines)
        if any(state.stand in (Stand.failed, Stand.stopped) for state in states):
            print(f"  logs: {folder}/jobs; the same `cassle sweep` runs again what is missing")


def _print(stand: Stand, what: str, lines: Sequence[str]) -> None:
    first, *rest = [show_controls(line) for line in lines] or [""]
    print(f"  {stand:8} {what}  {first}".rstrip())
    for line in rest:
        print(f"  {'':8} {line}")
