"""The results of a run, read from reports/ in the workspace or at a git revision."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.errors import RunError
from pipeline.files.atomic import read_content
from pipeline.files.sealed_json import SEAL, Json, file_digest, parse_sealed
from pipeline.files.typed_json import get_typed
from pipeline.layout import REPORTS
from pipeline.reporting.comparing.revisions import WORKSPACE, Revision, find_revision
from pipeline.reporting.comparing.tables_reading import (
    NoAccuraciesError,
    read_final_accuracies,
    read_matrix,
    read_numbers,
    read_object,
)
from pipeline.reporting.task_contents import identify_images, identify_tasks
from pipeline.reporting.task_names import join_names, say_task
from pipeline.runtime.git import read_objects

if TYPE_CHECKING:
    from pipeline.reporting.results import Results

FORMAT = 2
# The format before run.json had a seal and the digests of the tables.
UNSEALED = 1
TABLES = (
    "metrics.json",
    "cost.json",
    "accuracy_matrix.csv",
    "accuracy_over_tasks.csv",
    "probes.csv",
    "representations.csv",
    "losses.csv",
)
FILES = ("run.json", *TABLES)


@dataclass(frozen=True)
class Run:
    """The results of one run.

    Attributes:
        name: its name for people: branch, tag, experiment, or "workspace".
        revision: the commit; None for the workspace.
        params: the planned params.
        metrics: metrics by name; finite numbers, None for an undefined one.
        matrix: accuracies in percent, row 0 of state 0; None: not measured; see
            ``pipeline.metrics.accuracy_matrix``.
        cost: cost.json; None for runs without one.
        identity: digests of the images and of the splits.
        tasks: the domain, folder or classes of each task; empty if they are not known.
        final: A in percent by probe, of those that measured it.
    """

    name: str
    revision: str | None
    params: Json
    metrics: Json
    matrix: list[list[float | None]]
    cost: Json | None
    identity: Json
    tasks: Sequence[str] = ()
    final: Mapping[str, float] = field(default_factory=dict)

    def say_task(self, task: int) -> str:
        """Return a task's name as a sentence has it."""
        return say_task(task, self.tasks[task - 1] if task <= len(self.tasks) else "")


class NoResultsError(RunError):
    """A revision holds no results of this pipeline."""


def describe_run(results: Results) -> Json:
    """Return the content of reports/run.json: params, digests and names, for comparing runs.

    The tables in reports/ must exist: it holds the SHA-256 of each.
    """
    return {
        "format": FORMAT,
        "params": results.params,
        "tasks": [join_names(split) for split in results.splits],
        "data": identify_images(results.splits, results.labelled),
        "splits": identify_tasks(results.splits),
        "files": {name: file_digest(REPORTS / name) for name in TABLES},
    }


def read_run(revision: str | None = None) -> Run:
    """Return the results of a run.

    Args:
        revision: a branch, a tag, the name of a DVC experiment or a commit; None: the workspace.

    Raises:
        RunError: the revision is unknown or has no results, or they are damaged or of another
            version of the pipeline.
    """
    found = read_runs([WORKSPACE if revision is None else find_revision(revision)])[0]
    if isinstance(found, RunError):
        raise found
    return found


def read_runs(revisions: Sequence[Revision]) -> list[Run | RunError]:
    """Return the results of each revision, or the error of reading them."""
    committed = [found for found in revisions if found.commit is not None]
    names = [f"{found.commit}:./{REPORTS / file}" for found in committed for file in FILES]
    contents = iter(read_objects(names) if names else [])
    found: list[Run | RunError] = []
    for revision in revisions:
        if revision.commit is None:
            texts = {file: _workspace_file(file) for file in FILES}
        else:
            texts = {file: next(contents) for file in FILES}
        try:
            found.append(_parse_run(revision, texts))
        except RunError as error:
            found.append(error)
    return found


def _workspace_file(name: str) -> bytes | None:
    path = REPORTS / name
    try:
        return read_content(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error


def _parse_run(revision: Revision, contents: dict[str, bytes | None]) -> Run:
    name = revision.name
    if contents["run.json"] is None:
        if contents["metrics.json"] is None:
            raise NoResultsError(
                f"no {REPORTS}/metrics.json in {name}; run `dvc repro` there and commit reports/"
            )
        raise RunError(
            f"no {REPORTS}/run.json in {name}, whose results an older version made; run "
            "`dvc repro` there"
        )
    try:
        held = _read_checked(contents)
        params, data, splits = held.get("params"), held.get("data"), held.get("splits")
        if not (isinstance(params, dict) and isinstance(data, dict) and isinstance(splits, str)):
            raise ValueError("run.json lacks params, data or splits")
        for key, kind in {"method": str, "strategy": str, "seed": int}.items():
            if type(params.get(key)) is not kind:
                raise ValueError(f"the param {key} in run.json is {params.get(key)}")
        # Here: the registries take a third of a second, which a report has no use for.
        from pipeline.config.registry.strategies import learns_at_once
        from pipeline.reporting.comparing.settings import read_settings

        read_settings(params)
        tasks = get_typed({"tasks": (), **held}, tuple[str, ...], "tasks")
        at_once = learns_at_once(get_typed(params, str, "strategy"))
        matrix = read_matrix(contents["accuracy_matrix.csv"], at_once, len(tasks))
        # Without a digest of the table, a cell that is not there may as well have been lost.
        if held["format"] == UNSEALED and any(None in row for row in matrix):
            raise ValueError("accuracy_matrix.csv lacks accuracies")
        return Run(
            name=name,
            revision=revision.commit,
            params=params,
            metrics=read_numbers(contents, "metrics.json"),
            matrix=matrix,
            cost=None if contents["cost.json"] is None else read_numbers(contents, "cost.json"),
            identity={"data": data, "splits": splits},
            tasks=tasks,
            final=read_final_accuracies(contents["probes.csv"]),
        )
    except NoAccuraciesError:
        raise RunError(
            f"{name}: no accuracy was measured, so there is nothing to compare; where images have "
            "no labels, set data.labelled_root to a folder of class folders and run `dvc repro`"
        ) from None
    except (ValueError, KeyError, OverflowError, RecursionError, csv.Error) as error:
        raise RunError(
            f"{name}: {REPORTS}/ cannot be read ({error}); run `dvc repro` there"
        ) from error


def _read_checked(contents: dict[str, bytes | None]) -> Json:
    """Return the content of run.json, after checking its seal and the tables' digests."""
    held = read_object(contents, "run.json")
    if held.get("format") == UNSEALED and not {"files", SEAL} & held.keys():
        return held
    if held.get("format") != FORMAT:
        raise ValueError(f"run.json has format {held.get('format')}, expected {FORMAT}")
    try:
        sealed = parse_sealed(contents["run.json"] or b"")
    except ValueError as error:
        raise ValueError(f"run.json is damaged or was changed: {error}") from error
    assert sealed is not None, "an object was read"
    found = {
        name: hashlib.sha256(content).hexdigest()
        for name, content in contents.items()
        if content is not None and name in TABLES
    }
    noted = sealed.get("files")
    if not isinstance(noted, dict):
        raise ValueError("run.json lacks the files beside it")
    for name in TABLES:
        if found.get(name) != noted.get(name):
            raise ValueError(f"{name} is damaged, or was changed after run.json was written")
    return sealed
