"""What each task of a stream holds, as its images are now and as earlier tasks hold them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline import layout
from pipeline.artifacts.plans.prepare import PreparePlan
from pipeline.artifacts.split import Split, read_known_splits
from pipeline.building.dealt_parts import deal_new_images, find_dealt
from pipeline.building.split_images import images_are_gone
from pipeline.building.task_images import TaskImages
from pipeline.building.uneven_tasks import cut_unevenly
from pipeline.data.datasets.file_source import FileSource
from pipeline.data.image_files.content import list_first
from pipeline.data.image_files.kinds import KINDS
from pipeline.data.names import normalize_name
from pipeline.data.parts import PARTS, Part
from pipeline.data.source import Keys, Source
from pipeline.data.stream.scenarios import Task, divide_into_tasks
from pipeline.errors import DataError


def read_known(plan: PreparePlan) -> list[Split]:
    """The splits of the stream's tasks as they were cut before; none where they were not."""
    return read_known_splits(plan.scenario, plan.dataset.name, plan.dataset.root)


def list_contents(
    plan: PreparePlan, source: Source, known: Sequence[Split] = ()
) -> list[TaskImages | Split]:
    """What each task holds, or its split where that stays; no image is read.

    Arguments and errors are those of ``cut_stream``.
    """
    tasks = cut_unevenly(plan.stream, _list_whole(plan, source, known), source.root)
    require_all_tested(tasks, source.root)
    return tasks


def require_all_tested(tasks: Sequence[TaskImages | Split], root: Path) -> None:
    """Check that all tasks with labels have test images, or that none has.

    Args:
        tasks: what each holds.
        root: the folder of the data set, for the message.

    Raises:
        DataError: some have and some have not.
    """
    labelled = {number: task for number, task in enumerate(tasks, start=1) if task.names("train")}
    untested = {number: task for number, task in labelled.items() if not task.keys("test")}
    if untested and len(untested) < len(labelled):
        said = [
            f"task {number} ({', '.join(sorted(set(task.names('train'))))})"
            for number, task in untested.items()
        ]
        raise DataError(
            f"{root}: either all tasks with labels have test images or none has, and there are "
            f"none of {list_first(said)}; add some to the test part, or set data.holdout above "
            "0, which holds out some where there is no test part"
        )


def _list_whole(
    plan: PreparePlan, source: Source, known: Sequence[Split]
) -> list[TaskImages | Split]:
    """What each task holds before any is shortened or mixed with its neighbours."""
    cut: Sequence[Task | Split]
    if plan.scenario == "folders":
        cut = _follow_folders(plan, source, known)
    elif plan.scenario == "data" and (dealt := find_dealt(plan, source, known)):
        cut = [*dealt, *deal_new_images(plan, source, dealt)]
    elif gone := _find_gone(plan, source, known):
        return _cut_around(plan, source, gone)
    else:
        cut = divide_into_tasks(plan.scenario, source, plan.stream)
    return [_read(task, source) if isinstance(task, Task) else task for task in cut]


def _follow_folders(
    plan: PreparePlan, source: Source, known: Sequence[Split]
) -> list[Task | Split]:
    """A task for each folder that is there, and the split that was made of each that is not."""
    there = {task.domain: task for task in divide_into_tasks("folders", source, plan.stream)}
    cut: list[Task | Split] = []
    folders = plan.dataset.files.folders if plan.dataset.files is not None else None
    for number, folder in enumerate(folders or (), start=1):
        before = known[number - 1] if number <= len(known) else None
        if folder in there:
            cut.append(there[folder])
        elif before is not None and normalize_name(before.domain or "") == normalize_name(folder):
            cut.append(before)
        elif (source.root / folder).is_dir():
            raise DataError(
                f"task {number}: the folder '{folder}' in {source.root} holds no {KINDS} image "
                "yet; put some into it, or remove it, and its name where data.folders lists it"
            )
        else:
            raise DataError(
                f"task {number}: the folder '{folder}' is missing in {source.root}, and "
                f"{layout.split(number)} does not say what it held; bring one of both back (`dvc "
                "pull` brings splits), or, where a new folder sorts before it, run `cassle grow`"
            )
    return cut


def _find_gone(plan: PreparePlan, source: Source, known: Sequence[Split]) -> dict[int, Split]:
    """The splits of classes or domains of files that are no longer there, by task."""
    if plan.dataset.files is None:
        return {}
    return {
        split.task: split
        for split in known[: plan.stream.num_tasks]
        if images_are_gone(source, split)
    }


def _cut_around(
    plan: PreparePlan, source: Source, gone: Mapping[int, Split]
) -> list[TaskImages | Split]:
    """What each task holds where the classes or domains of some are no longer there.

    Raises:
        DataError: params do not name the classes or domain of each task in its place.
    """
    named = _list_named(plan)
    for task, split in gone.items():
        names = [split.domain or ""] if plan.scenario == "domain" else split.class_names
        held = {normalize_name(name) for name in names}
        if task > len(named) or set(named[task - 1]) != held:
            key = "data.domains" if plan.scenario == "domain" else "class_order, one list a task"
            raise DataError(
                f"the images of task {task} ({', '.join(sorted(held))}) are gone, and "
                f"{key}, does not name it in its place; bring them back, or name the tasks"
            )
    rest = [each for task, each in enumerate(named, start=1) if task not in gone]
    assert isinstance(source, FileSource), "images of an array do not go one by one"
    stream, options = replace(plan.stream, num_tasks=len(rest)), source.options
    if plan.scenario == "domain":
        options = replace(options, domains=tuple(name for each in rest for name in each))
    else:
        stream = replace(stream, order=tuple(rest))
    there = type(source)(source.root, options, source.reading)
    cut = iter(divide_into_tasks(plan.scenario, there, stream) if rest else [])
    return [
        gone[task] if task in gone else _read(next(cut), there)
        for task in range(1, plan.stream.num_tasks + 1)
    ]


def _list_named(plan: PreparePlan) -> Sequence[tuple[str, ...]]:
    """The classes or the domain of each task, where params name them; else none."""
    files, order = plan.dataset.files, plan.stream.order or ()
    if plan.scenario == "domain":
        names = files.domains if files is not None and files.domains is not None else ()
        return [(name,) for name in names][: plan.stream.num_tasks]
    lists = [tuple(map(str, each)) for each in order if not isinstance(each, str | int)]
    return lists[: plan.stream.num_tasks]


def _read(task: Task, source: Source) -> TaskImages:
    """What a task holds, named as the data set names it."""
    names = source.class_names()
    keys: dict[Part, Keys] = {}
    classes: dict[Part, Sequence[str]] = {}
    for part in PARTS:
        all_keys, labels = source.keys(part), source.labels(part)[task.images[part]]
        chosen = task.images[part].tolist()
        keys[part] = [all_keys[place] for place in chosen]
        classes[part] = [names[label] for label in labels.tolist() if label >= 0]
    return TaskImages(keys, classes, task.domain, {})
