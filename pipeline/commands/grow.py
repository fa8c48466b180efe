"""grow: learn what is new in data.root, as the same command every night."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline import layout
from pipeline.commands.add_task import append_folder, list_new_folders
from pipeline.config.chain import ensure_slots, list_outside
from pipeline.config.read import load_params
from pipeline.config.stream import count_tasks
from pipeline.errors import ParamsError, RunError, StateError
from pipeline.files.atomic import write_text
from pipeline.files.tensors import read_tensor_header

NOTHING_NEW = 3  # exit code

logger = logging.getLogger(__name__)


def run(path: Path) -> int:
    """Append each folder of data.root that is no task yet, and run ``dvc repro``.

    A growth that was stopped goes on; while another one runs, this one waits for it.

    Args:
        path: the params file; its comments stay.

    Returns:
        0 if a state was learnt, 3 if nothing is new.

    Raises:
        PipelineError: the params have no stream of folders, a folder cannot be a task, or
            ``dvc repro`` failed.
    """
    place = layout.LOCKS / "grow.lock"
    place.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(place)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        logger.info("another growth is running; waiting until it ends")
        lock.acquire()
    with lock:
        return _grow(path)


def _grow(path: Path) -> int:
    params = load_params(path)
    if params.scenario != "folders":
        raise ParamsError(
            f"grow learns new folders of data.root, and scenario is {params.scenario}; set "
            "scenario: folders"
        )
    for folder in list_new_folders(params):
        added = append_folder(path.read_text(encoding="utf-8"), params, folder)
        write_text(path, added.text)
        params = added.params
        logger.info("new: %s", added.name)
    tasks = count_tasks(params)
    ensure_slots(tasks, list_outside(params.data))
    before = _read_contents(tasks)
    done = subprocess.run([sys.executable, "-m", "dvc", "repro"], check=False)
    if done.returncode:
        raise RunError("dvc repro failed, and says above why; run the same command again")
    learnt = [task for task, content in _read_contents(tasks).items() if before[task] != content]
    if not learnt:
        logger.info("nothing new: %d tasks are learnt", tasks)
        return NOTHING_NEW
    logger.info("learnt: task %s", ", ".join(str(task) for task in learnt))
    return 0


def _read_contents(tasks: int) -> dict[int, str | None]:
    """The content of each trained state; None where there is none."""
    return {task: _read_content(task) for task in range(1, tasks + 1)}


def _read_content(task: int) -> str | None:
    try:
        return str(read_tensor_header(layout.state(task), StateError, "")["content"])
    except StateError:
        return None
