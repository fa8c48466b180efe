"""Read the results of a run: of the workspace, or of a git revision or DVC experiment."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from dataclasses import dataclass
from typing import cast

from pipeline.errors import RunError
from pipeline.files import Json
from pipeline.layout import REPORTS

FORMAT = 1


@dataclass(frozen=True)
class Run:
    """The results of one run.

    Attributes:
        name: how people know it: branch, tag, experiment name, or "workspace".
        revision: the commit; None for the workspace.
        params: the resolved params.
        metrics: the headline figures.
        matrix: accuracies in percent, rows by after_task.
        cost: what it took; None where it is not known.
        identity: digests of the data and the splits.
    """

    name: str
    revision: str | None
    params: Json
    metrics: Json
    matrix: list[list[float]]
    cost: Json | None
    identity: Json


def read_run(revision: str | None) -> Run:
    """Return a run's results.

    Args:
        revision: a git revision, a branch or the name of a DVC experiment; None for the
            workspace.

    Raises:
        RunError: there is no such revision, no results there, or they are unreadable or of
            an older format.
    """
    commit = None if revision is None else _commit(revision)
    name = revision or "workspace"
    run = _object(name, commit, "run.json")
    if run.get("format") != FORMAT:
        raise RunError(f"{name}: run.json has format {run.get('format')}, expected {FORMAT}")
    try:
        rows = list(csv.DictReader(io.StringIO(_text(name, commit, "accuracy_matrix.csv"))))
        tasks = max(int(row["task"]) for row in rows)
        matrix = [[0.0] * tasks for _ in range(max(int(row["after_task"]) for row in rows) + 1)]
        for row in rows:
            matrix[int(row["after_task"])][int(row["task"]) - 1] = float(row["accuracy"])
        return Run(
            name=name,
            revision=commit,
            params=cast(Json, run["params"]),
            metrics=_object(name, commit, "metrics.json"),
            matrix=matrix,
            cost=_object(name, commit, "cost.json"),
            identity={"data": run["data"], "splits": run["splits"]},
        )
    except (KeyError, ValueError, TypeError) as error:
        raise RunError(f"{name}: its results under {REPORTS} cannot be read ({error})") from error


def _commit(revision: str) -> str:
    """Return the commit that a name stands for."""
    names = [revision]
    listed = _git("for-each-ref", "--format=%(refname)", "refs/exps")
    if listed.returncode == 0:
        names += [ref for ref in listed.stdout.split() if ref.rpartition("/")[2] == revision]
    for name in names:
        found = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        if found.returncode == 0:
            return found.stdout.strip()
    raise RunError(
        f"'{revision}' is no git revision, branch or DVC experiment here; "
        "`dvc exp list` and `git branch` show what there is"
    )


def _text(name: str, commit: str | None, file: str) -> str:
    path = REPORTS / file
    remedy = f"no {path} in {name}; run `dvc repro` there and commit its reports"
    if commit is None:
        try:
            return path.read_text(encoding="utf-8")
        except OSError as error:
            raise RunError(remedy) from error
    shown = _git("show", f"{commit}:./{path}")
    if shown.returncode != 0:
        raise RunError(remedy)
    return shown.stdout


def _object(name: str, commit: str | None, file: str) -> Json:
    try:
        value = json.loads(_text(name, commit, file))
    except ValueError as error:
        raise RunError(f"{name}: {REPORTS / file} cannot be read ({error})") from error
    if not isinstance(value, dict):
        raise RunError(f"{name}: {REPORTS / file} holds no object")
    return value


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    except OSError as error:
        raise RunError(f"git cannot be run ({error}); it reads other revisions") from error
