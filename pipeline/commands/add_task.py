"""add-task: append a folder to the stream, so that it becomes the next task."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.artifacts.split import Split, read_known_splits
from pipeline.artifacts.training_log import read_seconds
from pipeline.building.data import open_source
from pipeline.building.stream_contents import list_contents, read_known
from pipeline.config.chain import ensure_slots, read_slots
from pipeline.config.outside_folders import list_outside
from pipeline.config.params import Params
from pipeline.config.plan_data import plan_preparation, plan_reading
from pipeline.config.presets import merge
from pipeline.config.read import parse_params
from pipeline.config.stream import (
    count_tasks,
    find_task_folders,
    list_learnt_folders,
    normalize_folder,
)
from pipeline.data.names import normalize_name
from pipeline.data.parts import PARTS
from pipeline.data.stream.folders import list_task_folders
from pipeline.errors import DataError, ParamsError
from pipeline.files.edits import replace_text
from pipeline.files.sealed_json import JsonValue, dump_json

HOW_OTHERS_GROW = (
    "Of random parts (scenario: data), put the new images into data.root and raise num_tasks; "
    "of domains made of one data set, extend data.domains and raise num_tasks"
)


@dataclass(frozen=True)
class Addition:
    """A task that is appended.

    Attributes:
        text: the new text of the params file.
        changes: one line for each changed param.
        params: the new params.
        name: of the task.
        train: the number of its training images.
        test: the number of its test images.
        classes: the number of its classes.
    """

    text: str
    changes: Sequence[str]
    params: Params
    name: str
    train: int
    test: int
    classes: int


def run(path: Path, params: Params, folder: Path, *, dry_run: bool) -> None:
    """Append a folder as the next task, and say what will train.

    Args:
        path: the params file; its comments stay.
        params: what it holds.
        folder: a task's folder, a domain's or a class's, as the scenario has it.
        dry_run: say it only.

    Raises:
        PipelineError: the scenario has no such tasks, or the folder is none of them, is in the
            stream already, or has too few images.
    """
    before = path.read_text(encoding="utf-8")
    added = append_folder(before, params, folder)
    lines = [*added.changes, *_describe(added, len(_read_known(params)))]
    tasks, outside = count_tasks(added.params), list_outside(added.params)
    if 0 < read_slots() < tasks:
        lines.append(f"dvc.yaml: slots for {read_slots()} -> {tasks} tasks")
    # Before it is printed: `| head` ends the program there.
    if not dry_run:
        ensure_slots(tasks, outside)
        replace_text(path, before, added.text)
    print("\n".join([*lines, "nothing was written" if dry_run else "next: dvc repro"]))


def _read_known(params: Params) -> list[Split]:
    """The splits of the tasks of this stream that were cut."""
    return read_known_splits(params.scenario, params.dataset, params.data.root)


def append_folder(text: str, params: Params, folder: Path) -> Addition:
    """Append a folder to the stream that a params file describes; nothing is written.

    Arguments and errors are those of ``run``, and ``text`` is the params file's text.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder; name one that holds the next task's images")
    changed = _change_params(params, folder)
    if params.num_tasks is not None:
        # A growth that was stopped may have counted the folder already.
        whole = params.scenario == "folders" and params.data.folders is None
        learnt = len(list_known_folders(params)) if whole else params.num_tasks
        changed["num_tasks"] = learnt + 1
    text, changes = merge(text, dump_json(changed))
    grown = parse_params(text, "the params with the new task")
    plan, how = plan_preparation(grown), plan_reading(grown)
    if plan.stream.looks_ahead:
        name = "imbalanced" if plan.stream.imbalanced > 1 else "blurred"
        raise ParamsError(
            f"stream.{name} decides what a task holds by how many there are or by the one after "
            "it, so a task more would change those before it; such a stream does not grow"
        )
    source = open_source(plan.dataset, how, look=False)
    task = list_contents(plan, source, read_known(plan))[-1]
    train, test = (len(task.keys(part)) for part in PARTS)
    classes = {name for part in PARTS for name in task.names(part)}
    if train < params.train.batch_size:
        raise DataError(
            f"{folder} has {train} training images, fewer than train.batch_size "
            f"({params.train.batch_size}); wait for more, or lower it for all tasks"
        )
    return Addition(text, changes, grown, folder.name, train, test, len(classes))


def _change_params(params: Params, folder: Path) -> dict[str, JsonValue]:
    """The params that append a folder, but for the number of tasks."""
    if params.scenario == "folders":
        return _append_to_folders(params, folder)
    if params.scenario not in ("domain", "class") or params.dataset != "image_folder":
        raise ParamsError(
            f"add-task appends folders of images; this is scenario: {params.scenario} of "
            f"{params.dataset}. " + HOW_OTHERS_GROW
        )
    name = _name_within(params, folder)
    known = _read_known(params)
    if not known:
        raise ParamsError(
            "which tasks come before is not known yet; run `cassle plan` and `cassle prepare` first"
        )
    count = count_tasks(params)
    if params.scenario == "domain":
        domains = params.data.domains or [split.domain or "" for split in known]
        return {"data": {"domains": _insert(domains, name, count, "data.domains")}}
    # By their names: numbers move when a class sorts first.
    groups = [list(split.class_names) for split in known[:count]]
    _insert([each for group in groups for each in group], name, count, "class_order")
    return {"class_order": [*groups, [name]]}


def _append_to_folders(params: Params, folder: Path) -> dict[str, JsonValue]:
    root = Path(params.data.root)
    from_root = os.path.relpath(_resolve_parent(folder), root.resolve())
    inside = not from_root.startswith(os.pardir)
    name = normalize_folder(root, str(folder) if folder.is_absolute() else from_root)
    known = list_known_folders(params)
    same = next((each for each in known if (root / each).resolve() == folder.resolve()), name)
    if same != name:
        raise ParamsError(f"'{name}' is the folder of '{same}', which is in the stream already")
    if params.data.folders is not None:
        count = count_tasks(params)
        return {"data": {"folders": _insert(known, name, count, "the stream")}}
    _insert(known, name, len(known), "the stream")
    if inside and list_task_folders(root, known)[len(known) :] == [name]:
        return {}  # it comes last by itself
    return {"data": {"folders": [*known, name]}}


def list_known_folders(params: Params) -> list[str]:
    """Return the folders that are tasks already."""
    if params.data.folders is not None:
        return find_task_folders(params)
    return list_learnt_folders(params) or find_task_folders(params)[: params.num_tasks]


def list_new_folders(params: Params) -> list[Path]:
    """The folders of data.root that are no tasks yet, in natural order.

    Raises:
        DataError: data.root cannot be listed.
    """
    root, known = Path(params.data.root), list_known_folders(params)
    if params.data.folders is None and params.num_tasks is None and not list_learnt_folders(params):
        return []
    places = [(root / name).resolve() for name in known]
    folders = [root / name for name in list_task_folders(root)]
    # A link to a task's folder, or one that holds such, is no task of its own.
    return [
        folder
        for folder in folders
        if not any(place.is_relative_to(folder.resolve()) for place in places)
    ]


def _insert(names: Sequence[str], name: str, count: int, where: str) -> list[str]:
    """Names with one more as the next of the first ``count``, which are tasks."""
    if name in names:
        raise ParamsError(f"'{name}' is in {where} already, as number {names.index(name) + 1}")
    return [*names[:count], name, *names[count:]]


def _resolve_parent(folder: Path) -> Path:
    """Return where a folder stands, which may be a link itself."""
    given = Path(os.path.abspath(folder))  # noqa: PTH100 - Path.absolute keeps ".."
    return given.parent.resolve() / given.name


def _name_within(params: Params, folder: Path) -> str:
    root = Path(params.data.root)
    if _resolve_parent(folder).parent != root.resolve():
        raise ParamsError(
            f"{folder} is not a folder in data.root ({root}), where scenario: {params.scenario} "
            "looks for it; move it there"
        )
    return normalize_name(folder.name)


def _describe(added: Addition, known: int) -> list[str]:
    """What the new task holds, what will train, and how long the last tasks took."""
    number = count_tasks(added.params)
    labels = f"{added.classes} classes" if added.classes else "no labels"
    lines = [
        f"task {number} ({added.name}): {added.train} training, {added.test} test images, {labels}"
    ]
    first = known + 1
    if first < number:
        lines.append(f"tasks {first} to {number} train: those before it were not cut yet")
    else:
        lines.append(f"task {number} trains; no task before it does")
    if took := [f"{seconds:.0f} s" for seconds in read_seconds(number - 1)[-3:]]:
        lines.append(f"the last tasks took {', '.join(took)} to train")
    return lines
