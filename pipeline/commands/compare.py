"""compare: tables over seeds of the runs in the workspace and in git."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from pipeline.errors import RunError
from pipeline.layout import REPORTS
from pipeline.reporting.comparing import comparison_terminal
from pipeline.reporting.comparing.comparison import Comparison, compare_runs, numeric_metrics
from pipeline.reporting.comparing.revisions import (
    WORKSPACE,
    Revision,
    find_revision,
    list_branches,
    list_experiments,
    list_tags,
    list_without_results,
)
from pipeline.reporting.comparing.run_groups import group_runs
from pipeline.reporting.comparing.runs import NoResultsError, Run, read_runs
from pipeline.reporting.terminal_text import format_terminal
from pipeline.runtime.git import identify_objects, require_repository

DEFAULT_METRICS = ("average_accuracy", "forgetting", "forward_transfer")
ALL_METRICS = "all"

Writer = Callable[[Comparison, Path], list[Path]]


@dataclass(frozen=True)
class Choice:
    """The choice of revisions to compare.

    Attributes:
        names: revisions that must have results; empty: the workspace and the experiments of
            the current commit, if they have results.
        all_commits: include the experiments of all commits.
        branches: include the local branches.
        tags: include the tags.
        workspace: include the workspace, if no names are given.
    """

    names: Sequence[str]
    all_commits: bool
    branches: bool
    tags: bool
    workspace: bool


def run(choice: Choice, metrics: Sequence[str], baseline: str | None, output: Path | None) -> None:
    """Print the comparison, and write it if an output is given.

    Raises:
        RunError: there is nothing to compare, or duplicates of a run disagree.
    """
    files = _output_files(output)
    require_repository()
    runs, left_out = _read(choice)
    wanted = numeric_metrics(runs) if ALL_METRICS in metrics else metrics or DEFAULT_METRICS
    found = compare_runs(group_runs(runs), list(dict.fromkeys(wanted)), baseline)
    found = replace(
        found,
        left_out=[*left_out, *found.left_out],
        notes=[*_code_notes(runs), *found.notes],
    )
    # Before it is printed: `| head` ends the program there.
    written = [each for path, write in files.items() for each in write(found, path)]
    console = Console()
    comparison_terminal.print_comparison(found, console)
    for path in written:
        console.print(format_terminal(f"written: {path}"))


def _output_files(output: Path | None) -> dict[Path, Writer]:
    """Return the files to write with their writers; imports these only if they are needed."""
    if output is None:
        return {}
    from pipeline.reporting.comparing.comparison_files import output_files

    return output_files(output)


def _read(choice: Choice) -> tuple[list[Run], list[str]]:
    """Return the runs, and which were left out and why, a sentence each."""
    named = list(dict.fromkeys(find_revision(name) for name in choice.names))
    listed = [found for found in dict.fromkeys(_listed(choice)) if found not in named]
    results = read_runs([*named, *listed])
    for result in results[: len(named)]:
        if isinstance(result, RunError):
            raise result
    runs = [result for result in results if isinstance(result, Run)]
    empty, left_out = [], []
    for revision, result in zip(listed, results[len(named) :], strict=True):
        if isinstance(result, NoResultsError):
            empty += [revision.name] if revision != WORKSPACE else []
        elif isinstance(result, RunError):
            left_out.append(f"Skipped: {result}.")
    if empty:
        left_out.insert(0, f"Skipped, without results: {len(empty)} ({', '.join(empty)}).")
    if not choice.names:
        for state, names in list_without_results(choice.all_commits).items():
            if names:
                left_out.append(f"Experiments {state}: {len(names)} ({', '.join(names)}).")
    if not runs:
        why = [note[0].lower() + note[1:].rstrip(".") for note in left_out]
        raise RunError("\n".join(["there are no results to compare", *why, *_hints(choice)]))
    return runs, left_out


def _code_notes(runs: Sequence[Run]) -> list[str]:
    """Return a note if the runs' commits have different code."""
    committed = [run for run in runs if run.revision is not None]
    codes = identify_objects([f"{run.revision}:./pipeline" for run in committed])
    versions: dict[str, list[str]] = {}
    for run, code in zip(committed, codes, strict=True):
        if code is not None:
            versions.setdefault(code, []).append(run.name)
    if len(versions) < 2:
        return []
    names = "; ".join(", ".join(names) for names in versions.values())
    return [
        f"pipeline/ is not the same in all of these runs, and metrics may differ for that: {names}."
    ]


def _listed(choice: Choice) -> list[Revision]:
    """Return the revisions besides the named ones."""
    found: list[Revision] = []
    if not choice.names:
        found += [WORKSPACE] if choice.workspace else []
        found += list_experiments(choice.all_commits)
    elif choice.all_commits:
        found += list_experiments(all_commits=True)
    found += list_branches() if choice.branches else []
    found += list_tags() if choice.tags else []
    return found


def _hints(choice: Choice) -> list[str]:
    others = [] if choice.all_commits else list_experiments(all_commits=True)
    if others:
        return [f"{len(others)} experiments of other commits are there: add --all-commits"]
    return [
        f"run this in the project's root, where {REPORTS}/ is, after `dvc repro` or "
        "`dvc exp run --queue -S seed=0,1,2 -S strategy=finetune,cassle` and `dvc queue start`"
    ]
