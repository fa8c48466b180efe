"""The jobs of a sweep: its runs, and before them each first task that several of them share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile

from pipeline.config.chain import IN_ROOT
from pipeline.config.sweep_runs import SweepRun

DIGITS = 12  # of a digest in the name of a shared training


@dataclass(frozen=True)
class Job:
    """What one process does in a checkout of its own.

    Attributes:
        name: of the experiment; of a shared training, what it is of.
        overrides: what ``dvc exp run -S`` is given.
        baseline: the commit that is checked out.
        target: the stage to stop after; None: all run, and the results are kept.
        after: the name of the job that has to end before.
    """

    name: str
    overrides: tuple[str, ...]
    baseline: str
    target: str | None = None
    after: str | None = None


def write_command(name: str, overrides: Iterable[str]) -> list[str]:
    """Return the words after ``dvc`` that run an experiment with overrides."""
    settings = [word for override in overrides for word in ("-S", override)]
    return ["exp", "run", "--name", name, *settings]


def plan_jobs(runs: Sequence[SweepRun], baseline: str) -> list[Job]:
    """Return the jobs of runs, those first that others wait for.

    Runs that begin with the same training would train it once each if they began together. So
    a job of its own trains it, and whatever else all of them share: all tasks, where they only
    evaluate in other ways. DVC's cache brings it to the runs.
    """
    groups: dict[str, list[SweepRun]] = {}
    for run in runs:
        groups.setdefault(run.trainings[0], []).append(run)
    first, rest = [], {}
    for digest, group in groups.items():
        shared = f"first-{digest[:DIGITS]}" if len(group) > 1 else None
        if shared is not None:
            target = _name_stage(_count_shared(group))
            first.append(Job(shared, group[0].overrides, baseline, target))
        for run in group:
            rest[run.name] = Job(run.name, run.overrides, baseline, after=shared)
    return [*first, *(rest[run.name] for run in runs)]


def _count_shared(group: Sequence[SweepRun]) -> int:
    """Return how many tasks, from the first, are trained alike in all runs."""
    together: Iterable[tuple[str, ...]] = zip(*(run.trainings for run in group), strict=False)
    return sum(1 for _ in takewhile(lambda digests: len(set(digests)) == 1, together))


def _name_stage(task: int) -> str:
    # Later slots are in files of their own.
    return "train_first" if task == 1 else f"train@{min(task, IN_ROOT)}"
