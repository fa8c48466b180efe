"""What params say of a stream once a folder is its next task."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from pipeline.artifacts.split import Split, read_known_splits
from pipeline.building.data import open_source
from pipeline.config.params import Params
from pipeline.config.plan_data import plan_preparation, plan_reading
from pipeline.config.stream import (
    count_tasks,
    find_task_folders,
    list_learnt_folders,
    normalize_folder,
)
from pipeline.data.names import normalize_name
from pipeline.data.stream.folders import list_task_folders
from pipeline.data.stream.tasks import group_classes
from pipeline.errors import ParamsError
from pipeline.files.sealed_json import JsonValue

HOW_OTHERS_GROW = (
    "Of random parts (scenario: data), put the new images into data.root and raise num_tasks; "
    "of domains made of one data set, extend data.domains and raise num_tasks"
)


def change_params(params: Params, folder: Path, folders: Sequence[str]) -> dict[str, JsonValue]:
    """Return the params that append a folder, but for the number of tasks.

    Args:
        params: as they are.
        folder: the next task's.
        folders: of scenario: folders: the tasks before it.

    Raises:
        PipelineError: the scenario has no such tasks, it is not known which come before, or the
            folder is one of them.
    """
    if params.scenario == "folders":
        return _append_to_folders(params, folder, folders)
    if params.scenario not in ("domain", "class") or params.dataset != "image_folder":
        raise ParamsError(
            f"add-task appends folders of images; this is scenario: {params.scenario} of "
            f"{params.dataset}. " + HOW_OTHERS_GROW
        )
    name, count = _name_within(params, folder), count_tasks(params)
    if params.scenario == "domain":
        domains = params.data.domains or [split.domain or "" for split in _require_cut(params)]
        return {"data": {"domains": _insert(domains, name, count, "data.domains")}}
    groups = _list_classes(params, name)
    for place, group in enumerate(groups):
        if isinstance(group, list) and name in group:
            raise _refuse_twice(name, place, count, "class_order")
    return {"class_order": [*groups[:count], [name], *groups[count:]]}


def _require_cut(params: Params) -> list[Split]:
    """The splits of the stream's tasks, where params do not name what these hold.

    Raises:
        ParamsError: some were not cut yet.
    """
    known = read_known_splits(params.scenario, params.dataset, params.data.root)
    if len(known) < count_tasks(params):
        raise ParamsError(
            "which tasks come before is not known yet; run `cassle plan` and `cassle prepare` first"
        )
    return known[: count_tasks(params)]


def _list_classes(params: Params, new: str) -> list[JsonValue]:
    """The names of the classes of each task: the lists of class_order, or else the splits'."""
    order = params.class_order or []
    if not any(isinstance(each, list) for each in order):
        # By their names: numbers move when a class sorts first.
        return [list(split.class_names) for split in _require_cut(params)]
    if len(order) < count_tasks(params):
        raise ParamsError(
            f"class_order has {len(order)} lists, and num_tasks is {count_tasks(params)}; give a "
            "list for each task first"
        )
    if not any(isinstance(name, int) for each in order if isinstance(each, list) for name in each):
        return [*order]
    return _name_numbers(params, new)


def _name_numbers(params: Params, new: str) -> list[JsonValue]:
    """The lists of class_order by names, as if the new class were not there yet.

    Raises:
        ParamsError: a number means another class than when its task was cut, or none.
    """
    order = params.class_order or []
    source = open_source(plan_preparation(params).dataset, plan_reading(params), look=False)
    names = [name for name in source.class_names() if name != new]
    try:
        groups = group_classes(names, len(order), params.split_seed, order)
    except ValueError as error:
        raise ParamsError(str(error)) from error
    named = [[names[label] for label in group] for group in groups]
    known = read_known_splits(params.scenario, params.dataset, params.data.root)
    for split, group in zip(known, named, strict=False):
        if set(map(normalize_name, split.class_names)) != set(group):
            raise ParamsError(
                f"class_order numbers the classes of task {split.task}, which are "
                f"{', '.join(group)} by what is in data.root now, and were "
                f"{', '.join(split.class_names)} when it was cut; write names in place of numbers"
            )
    return [*named]


def _append_to_folders(params: Params, folder: Path, known: Sequence[str]) -> dict[str, JsonValue]:
    root = Path(params.data.root)
    from_root = os.path.relpath(_resolve_parent(folder), root.resolve())
    inside = not from_root.startswith(os.pardir)
    name = normalize_folder(root, str(folder) if folder.is_absolute() else from_root)
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


def list_stream_folders(params: Params, new: Path) -> list[str]:
    """Return the folders that are tasks by params, cut or not, without one that is to be added.

    Those that were cut come first, then those that sort after them: such were appended already.
    """
    known, found = list_known_folders(params), find_task_folders(params)
    if params.data.folders is not None or not list_learnt_folders(params):
        return known
    after = 1 + max(found.index(name) for name in known)
    others = [name for name in [*found[after:], *found[:after]] if name not in known]
    room = None if params.num_tasks is None else max(0, params.num_tasks - len(known))
    root = Path(params.data.root)
    return known + [name for name in others[:room] if (root / name).resolve() != new.resolve()]


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
        raise _refuse_twice(name, names.index(name), count, where)
    return [*names[:count], name, *names[count:]]


def _refuse_twice(name: str, place: int, count: int, where: str) -> ParamsError:
    more = "" if place < count else f"; set num_tasks: {place + 1} to learn it"
    return ParamsError(f"'{name}' is in {where} already, as number {place + 1}{more}")


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
