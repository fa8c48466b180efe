"""Revisions that hold runs: the workspace, branches, tags and DVC's experiments.

DVC (3.67) keeps an experiment as ``refs/exps/<2>/<rest of the baseline's id>/<name>``; the
other references under refs/exps are its queue and its own bookkeeping.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipeline.errors import RunError
from pipeline.reporting.comparing.dvc_runs import list_uncollected
from pipeline.runtime.git import find_commit, list_references, read_reflog

EXPERIMENT = re.compile(r"refs/exps/([0-9a-f]{2})/([0-9a-f]+)/(.+)")
QUEUED = re.compile(r"dvc-exp:[0-9a-f]+:(?P<baseline>[0-9a-f]+):(?P<name>[^:]*)")


@dataclass(frozen=True)
class Revision:
    """A place of results: a commit or the workspace.

    Attributes:
        name: its name for people.
        commit: the commit; None for the workspace.
    """

    name: str
    commit: str | None


@dataclass(frozen=True)
class Experiment(Revision):
    """A DVC experiment.

    Attributes:
        baseline: the commit it was started from.
    """

    baseline: str


WORKSPACE = Revision("workspace", None)


def find_revision(name: str) -> Revision:
    """Return the revision of a name: ``workspace``, a branch, tag, experiment or commit.

    Raises:
        RunError: nothing has this name, or experiments of several commits have it.
    """
    if name == WORKSPACE.name:
        return WORKSPACE
    if list_references(f"refs/heads/{name}", f"refs/tags/{name}").keys() & {
        f"refs/heads/{name}",
        f"refs/tags/{name}",
    }:
        return Revision(name, find_commit(name))
    same = [found for found in _experiments() if found.name == name]
    head = find_commit("HEAD")
    chosen = [found for found in same if found.baseline == head] or same
    if len(chosen) > 1:
        commits = ", ".join(f"{found.commit} (of {found.baseline[:7]})" for found in chosen)
        raise RunError(f"'{name}' is the name of {len(chosen)} experiments; say which: {commits}")
    if chosen:
        return chosen[0]
    commit = find_commit(name)
    if commit is None:
        raise RunError(
            f"'{name}' is no git revision, branch or DVC experiment here; "
            "`dvc exp list` and `git branch` show what there is"
        )
    return Revision(name, commit)


def list_experiments(all_commits: bool) -> list[Experiment]:
    """Return the experiments of the current commit, or of all commits.

    Experiments of the same name get their baseline added to it.

    Args:
        all_commits: whether to include other commits.
    """
    head = find_commit("HEAD")
    found = [each for each in _experiments() if all_commits or each.baseline == head]
    names = [each.name for each in found]
    return [
        Experiment(f"{each.name} ({each.baseline[:7]})", each.commit, each.baseline)
        if names.count(each.name) > 1
        else each
        for each in found
    ]


def list_branches() -> list[Revision]:
    """Return the local branches."""
    return _listed("refs/heads/")


def list_tags() -> list[Revision]:
    """Return the tags."""
    return _listed("refs/tags/")


def list_without_results(all_commits: bool) -> dict[str, list[str]]:
    """Return the names of experiments without results, by their status.

    Args:
        all_commits: whether to include other commits.
    """
    head = find_commit("HEAD")
    places = {"that failed": "refs/exps/celery/failed", "still queued": "refs/exps/celery/stash"}
    found = {}
    for state, reference in places.items():
        entries = [QUEUED.search(message) for message in read_reflog(reference)]
        found[state] = [(entry["baseline"], entry["name"]) for entry in reversed(entries) if entry]
    done = {(each.baseline, each.name) for each in _experiments()}
    for state, each in list_uncollected().items():
        found[state] = [one for one in each if one not in {*done, *found["that failed"]}]
    return {
        state: [name or "without a name" for base, name in each if all_commits or base == head]
        for state, each in found.items()
    }


def _experiments() -> list[Experiment]:
    found = []
    for reference, commit in list_references("refs/exps").items():
        parts = EXPERIMENT.fullmatch(reference)
        if parts:
            found.append(Experiment(parts[3], commit, parts[1] + parts[2]))
    return found


def _listed(prefix: str) -> list[Revision]:
    return [
        Revision(name.removeprefix(prefix), commit)
        for name, commit in list_references(prefix).items()
    ]
