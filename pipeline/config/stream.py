"""The tasks of a stream, counted before any is cut."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from pipeline import layout
from pipeline.artifacts.split import read_known_splits
from pipeline.config.params import Params
from pipeline.config.registry.datasets import DATASETS, TRANSFORMATIONS
from pipeline.data.stream.folders import find_entry, list_task_folders
from pipeline.errors import ParamsError, PipelineError
from pipeline.runtime.empty_slots import EMPTY


def fix_stream(params: Params) -> Params:
    """Return params with the number of tasks, and the folders that are tasks, as they are now.

    Raises:
        DataError: the folders that are tasks cannot be listed.
        ParamsError: there are fewer tasks, or params do not say which there are.
    """
    if params.scenario != "folders":
        return params.model_copy(update={"num_tasks": _count_named(params)})
    folders = find_task_folders(params)
    if params.num_tasks is not None and params.num_tasks > len(folders):
        raise ParamsError(
            f"num_tasks must be at most {len(folders)}, the folders of {params.data.root} "
            f"(scenario: folders makes each a task), got {params.num_tasks}"
        )
    folders = folders[: params.num_tasks]
    data = params.data.model_copy(update={"folders": folders})
    return params.model_copy(update={"num_tasks": len(folders), "data": data})


def count_tasks(params: Params) -> int:
    """Return the number of tasks: that of params, or, where it is null, of all that are there.

    Raises:
        PipelineError: as ``fix_stream``.
    """
    tasks = fix_stream(params).num_tasks
    assert tasks is not None, "the stream is fixed"
    return tasks


def require_room(slots: int, params: Params) -> None:
    """Check that a number of task slots is enough for params, as far as their tasks are known.

    Raises:
        ParamsError: it is not.
    """
    tasks = params.num_tasks
    with suppress(PipelineError):  # folders that are tasks may come later
        tasks = count_tasks(params)
    if tasks is not None and slots < tasks:
        raise ParamsError(
            f"slots: got {slots}, and the params have {tasks} tasks; give {tasks} or more, or "
            "lower num_tasks first"
        )


def _count_named(params: Params) -> int:
    """The number of tasks that params name, where folders are no tasks."""
    if params.num_tasks is not None:
        return params.num_tasks
    if params.data.domains is None and DATASETS[params.dataset].files:
        raise ParamsError(
            "num_tasks: null takes all domains that data.domains names, and it is null too; name "
            "them, or give num_tasks"
        )
    return len(params.data.domains or TRANSFORMATIONS)


def find_task_folders(params: Params) -> list[str]:
    """Return the folders that are tasks, in order, as far as they can be.

    A folder that is gone stays in its place if there is a split that says what it held.

    Raises:
        DataError: they cannot be listed.
    """
    root = Path(params.data.root)
    if params.data.folders is None:
        return list_task_folders(root, list_learnt_folders(params))
    found = [normalize_folder(root, name) for name in params.data.folders]
    for name in found:
        if found.count(name) > 1:
            raise ParamsError(f"data.folders: '{name}' is there twice")
        outer = next((each for each in found if _lies_in(root / name, root / each)), None)
        if outer is not None:
            raise ParamsError(
                f"data.folders: '{name}' is in '{outer}', so its images would be there twice"
            )
    return found


def _lies_in(folder: Path, outer: Path) -> bool:
    above = os.path.abspath(outer)  # noqa: PTH100 - Path.absolute keeps ".."
    return Path(above) in Path(os.path.abspath(folder)).parents  # noqa: PTH100


def list_learnt_folders(params: Params) -> list[str]:
    """Return the folders that are tasks of this stream: cut, and still there or learnt."""
    root = Path(params.data.root)
    cut = {
        split.task: normalize_folder(root, split.domain)
        for split in read_known_splits("folders", params.dataset, params.data.root)
        if split.domain is not None
    }
    return [name for task, name in cut.items() if (root / name).is_dir() or _was_learnt(task)]


def _was_learnt(task: int) -> bool:
    path = layout.state(task)
    return path.is_file() and path.stat().st_size > len(EMPTY)


def normalize_folder(root: Path, name: str) -> str:
    """Return how a task's folder is named: as on disk, relative to the root if it lies in it."""
    path, above = Path(os.path.abspath(root / name)), os.path.abspath(root)  # noqa: PTH100
    if (spelt := find_entry(path)) != path:
        path, name = (
            spelt,
            str(spelt) if Path(name).is_absolute() else os.path.relpath(spelt, above),
        )
    if path.is_relative_to(above) and path != Path(above):
        return path.relative_to(above).as_posix()
    return os.path.normpath(name)
