"""grow: learn what is new in data.root, as the same command every night."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from filelock import Timeout

from pipeline import layout
from pipeline.artifacts.evaluation import find_evaluations
from pipeline.artifacts.plans.prepare import PreparePlan
from pipeline.artifacts.split import Split
from pipeline.building.data import open_source
from pipeline.building.stream_contents import list_contents, read_known
from pipeline.building.task_images import TaskImages
from pipeline.commands.add_task import append_folder
from pipeline.commands.check import list_changes, reads_earlier_images
from pipeline.commands.next_task import list_known_folders, list_new_folders
from pipeline.config.chain import ensure_slots
from pipeline.config.outside_folders import list_outside
from pipeline.config.params import Params
from pipeline.config.plan_data import plan_preparation, plan_reading
from pipeline.config.presets import merge
from pipeline.config.read import load_params, parse_params
from pipeline.data.source import Source
from pipeline.errors import DataError, ParamsError, RunError
from pipeline.files.edits import replace_text
from pipeline.files.sealed_json import JsonValue, dump_json
from pipeline.runtime.locks import take_lock

NOTHING_NEW = 3  # exit code

logger = logging.getLogger(__name__)


def run(path: Path) -> int:
    """Append each folder of data.root that is no task yet, and run ``dvc repro``.

    A growth that was stopped goes on; while another one runs, this one waits for it. A folder
    that cannot be a task is left out, until the next growth looks at it again; the others are
    learnt first, and then it is said.

    Args:
        path: the params file; its comments stay.

    Returns:
        0 if a state was learnt, 3 if nothing is new.

    Raises:
        PipelineError: the params have no stream of folders, ``dvc repro`` failed, or a folder
            cannot be a task.
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
    refused: list[Path] = []
    for folder in list_new_folders(params):
        text = path.read_text(encoding="utf-8")
        try:
            added = append_folder(text, params, folder, list_known_folders(params))
        except DataError as error:
            if not refused:
                _list_stream(parse_params(_name_known(text, params), str(path)))
            logger.warning("left out: %s", error)
            refused.append(folder)
            continue
        replace_text(path, text, added.text)
        params = added.params
        logger.info("new: %s", added.name)
    if refused and params.data.folders is None:
        text = path.read_text(encoding="utf-8")
        replace_text(path, text, _name_known(text, params))
        params = load_params(path)
    plan, source, known, tasks = _list_stream(params)
    ensure_slots(plan.stream.num_tasks, list_outside(params))
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
    if learnt:
        logger.info("learnt: task %s", ", ".join(str(task) for task in learnt))
    elif not refused:
        logger.info("nothing new: %d tasks are learnt", plan.stream.num_tasks)
    if refused:
        names = ", ".join(map(str, refused))
        raise DataError(f"left out, as said above: {names}; the next growth looks there again")
    return 0 if learnt else NOTHING_NEW


def _name_known(text: str, params: Params) -> str:
    """The text of params that name the tasks so far: without a list each folder is a task."""
    known: list[JsonValue] = [*list_known_folders(params)]
    count = None if params.num_tasks is None else len(known)
    return merge(text, dump_json({"num_tasks": count, "data": {"folders": known}}))[0]


def _list_stream(
    params: Params,
) -> tuple[PreparePlan, Source, Sequence[Split], Sequence[TaskImages | Split]]:
    """The plan of a stream, its source, its splits so far, and what each task holds.

    Raises:
        PipelineError: it cannot be listed.
    """
    plan = plan_preparation(params)
    source = open_source(plan.dataset, plan_reading(params), look=False)
    known = read_known(plan)
    return plan, source, known, list_contents(plan, source, known)


def _read_measured() -> dict[int, str]:
    """The content of each state that was evaluated, by its number."""
    found = find_evaluations()
    return {} if found is None else {task: row.state for task, row in found.by_state().items()}
