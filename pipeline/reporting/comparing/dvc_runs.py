"""Experiments that DVC has begun elsewhere than in the workspace and not collected.

DVC (3.67) describes each in ``.dvc/tmp/exps/run/<id>/<id>.run``, and a queue's worker the process
in ``<id>.json`` beside it. Once the result is collected, or the run has failed, the folder it ran
in is gone; what describes it may stay, with the status it had.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from pipeline.files.typed_json import get_typed

RUNS = Path(".dvc/tmp/exps/run")
UNFINISHED = (1, 2)  # DVC's TaskStatus: preparing and running
SUCCEEDED = 3
WORKSPACE = "workspace"  # DVC's location of a run in the working folder
RUNNING = "still running, or cut off"
CUT_OFF = "cut off with their queue worker, to be queued again"


@dataclass(frozen=True)
class DvcRun:
    """What DVC says of an experiment that it runs.

    Attributes:
        baseline: the commit it was started from.
        name: its name.
        status: DVC's TaskStatus.
        location: where it runs: in the workspace, in a folder, or in a queue's worker.
        root_dir: the folder it runs in; empty if it is not known.
    """

    baseline: str
    name: str
    status: int
    location: str
    root_dir: str


def list_uncollected() -> dict[str, list[tuple[str, str]]]:
    """Return baseline and name of each experiment that was begun and not collected, by state."""
    found: dict[str, list[tuple[str, str]]] = {RUNNING: [], CUT_OFF: []}
    for path in sorted(RUNS.glob("*/*.run")):
        run = _read_run(path)
        if run is None or run.location == WORKSPACE:
            continue
        if run.root_dir and not Path(run.root_dir).is_dir():
            continue
        alive = _is_alive(path.with_suffix(".json"))
        if run.status in UNFINISHED and alive is not False:
            found[RUNNING].append((run.baseline, run.name))
        elif run.status in (*UNFINISHED, SUCCEEDED) and not alive:
            found[CUT_OFF].append((run.baseline, run.name))
    return found


def _read_run(path: Path) -> DvcRun | None:
    """Return a run; None while the file is being written, or if another DVC wrote it."""
    try:
        held = {"location": "", "root_dir": "", **json.loads(path.read_text(encoding="utf-8"))}
        return DvcRun(
            get_typed(held, str, "baseline_rev"),
            get_typed({**held, "name": held.get("name") or ""}, str, "name"),
            get_typed(held, int, "status"),
            get_typed(held, str, "location"),
            get_typed(held, str, "root_dir"),
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _is_alive(path: Path) -> bool | None:
    """Return whether the process of a queue's worker is there; None if nothing says which it is."""
    try:
        number = get_typed(json.loads(path.read_text(encoding="utf-8")), int, "pid")
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    except (OSError, ValueError, TypeError, KeyError, OverflowError):
        return None
    return True
