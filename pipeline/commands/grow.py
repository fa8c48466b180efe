"""grow: learn what is new in data.root, as the same command every night."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

from filelock import Timeout

from pipeline import layout
from pipeline.artifacts.evaluation import find_evaluations
from pipeline.building.data import open_source
from pipeline.building.stream_contents import list_contents, read_known
from pipeline.commands.add_task import append_folder, list_new_folders
from pipeline.commands.check import list_changes, reads_earlier_images
from pipeline.config.chain import ensure_slots
from pipeline.config.outside_folders import list_outside
from pipeline.config.plan_data import plan_preparation, plan_reading
from pipeline.config.read import load_params
from pipeline.errors import ParamsError, RunError
from pipeline.files.atomic import rewrite_text
from pipeline.runtime.locks import take_lock

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
    try:
        lock = take_lock(place, 0)
    except Timeout:
        logger.info("another growth is running; waiting until it ends")
        lock = take_lock(place)
    try:
        return _grow(path)
    finally:
        lock.release()


def _grow(path: Path) -> int:
    params = load_params(path)
    if params.scenario != "folders":
        raise ParamsError(
            f"grow learns new folders of data.root, and scenario is {params.scenario}; set "
            "scenario: folders"
        )
    for folder in list_new_folders(params):
        added = append_folder(path.read_text(encoding="utf-8"), params, folder)
        rewrite_text(path, added.text)
        params = added.params
        logger.info("new: %s", added.name)
    plan = plan_preparation(params)
    ensure_slots(plan.stream.num_tasks, list_outside(params))
    source = open_source(plan.dataset, plan_reading(params), look=False)
    known = read_known(plan)
    tasks = list_contents(plan, source, known)
    for line in list_changes(plan, source, known, tasks, looks_back=reads_earlier_images(params)):
        logger.info(line)
    before = _read_measured()
    # The stages' commands look for python.
    path_variable = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    environment = {**os.environ, "PATH": path_variable}
    done = subprocess.run([sys.executable, "-m", "dvc", "repro"], env=environment, check=False)
    if done.returncode:
        raise RunError("dvc repro failed, and says above why; run the same command again")
    # By what was measured, which comes last: a growth that was stopped counts when it ends.
    after = _read_measured()
    learnt = [task for task in after if task > 0 and after[task] != before.get(task)]
    if not learnt:
        logger.info("nothing new: %d tasks are learnt", plan.stream.num_tasks)
        return NOTHING_NEW
    logger.info("learnt: task %s", ", ".join(str(task) for task in learnt))
    return 0


def _read_measured() -> dict[int, str]:
    """The content of each state that was evaluated, by its number."""
    found = find_evaluations()
    return {} if found is None else {task: row.state for task, row in found.by_state().items()}
