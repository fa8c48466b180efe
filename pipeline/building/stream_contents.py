"""What each task of a stream holds, as its images are now and as earlier tasks hold them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline import layout
from pipeline.artifacts.plans.prepare import PreparePlan
from pipeline.artifacts.split import Repeats, Split, read_known_splits
from pipeline.building.split_images import images_are_gone
from pipeline.data.datasets.file_source import FileSource
from pipeline.data.parts import PARTS, Part
from pipeline.data.source import Keys, Source
from pipeline.data.stream.scenarios import Task, divide_into_tasks
from pipeline.data.stream.tasks import Indices, data_incremental
from pipeline.errors import DataError


@dataclass(frozen=True)
class TaskImages:
    """The images of a task, with the names of their classes.

    Attributes:
        held: what names its images, by part.
        classes: the class of each image, by part; empty without labels.
        domain: the name of its domain or folder.
        skipped: numbers of images that cannot be read and are left out, by part.
        plain: numbers of images of a single color, by part.
        contents: a digest of each image alone, by part, once they are read; see Split.
        repeats: the images whose bytes an earlier image has.
    """

    held: Mapping[Part, Keys]
    classes: Mapping[Part, Sequence[str]]
    domain: str | None
    skipped: Mapping[str, int]
    plain: Mapping[str, int] | None = None
    contents: Mapping[Part, Sequence[str]] | None = None
    repeats: Repeats | None = None

    def keys(self, part: Part) -> Keys:
        """What names its images of a part."""
        return self.held[part]

    def names(self, part: Part) -> Sequence[str]:
        """The name of the class of each of its images of a part; none without labels."""
        return self.classes[part]

    def without(self, out: Mapping[Part, Collection[int]]) -> TaskImages:
        """The task without the images at some places, by part."""
        held, classes, contents = dict(self.held), dict(self.classes), dict(self.contents or {})
        for part, places in out.items():
            gone, keys = set(places), self.keys(part)
            kept = [place for place in range(len(keys)) if place not in gone]
            held[part] = [keys[place] for place in kept]  # type: ignore[assignment]
            for by_image in (classes, contents):
                if by_image.get(part):
                    by_image[part] = [by_image[part][place] for place in kept]
        return replace(self, held=held, classes=classes, contents=contents or None)


def read_known(plan: PreparePlan) -> list[Split]:
    """The splits of the stream's tasks as they were cut before; none where they were not."""
    return read_known_splits(plan.scenario, plan.dataset.name, plan.dataset.root)


def list_contents(
    plan: PreparePlan, source: Source, known: Sequence[Split] = ()
) -> list[TaskImages | Split]:
    """What each task holds, or its split where that stays; no image is read.

    Arguments and errors are those of ``cut_stream``.
    """
    cut: Sequence[Task | Split]
    if plan.scenario == "folders":
        cut = _follow_folders(plan, source, known)
    elif plan.scenario == "data" and (dealt := _find_dealt(plan, source, known)):
        cut = [*dealt, *_deal_new_images(plan, source, dealt)]
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
        elif before is not None and before.domain == folder:
            cut.append(before)
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
        held = {split.domain} if plan.scenario == "domain" else set(split.class_names)
        if task > len(named) or set(named[task - 1]) != held:
            key = "data.domains" if plan.scenario == "domain" else "class_order, one list a task"
            raise DataError(
                f"the images of task {task} ({', '.join(sorted(map(str, held)))}) are gone, and "
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


def _find_dealt(plan: PreparePlan, source: Source, known: Sequence[Split]) -> list[Split]:
    """The random parts that stay as they are; none where the images are dealt anew.

    They stay where nothing is new, and where tasks are appended and images that belong to none
    of them have come.
    """
    more = plan.stream.num_tasks - len(known)
    if more < 0 or {split.split_seed for split in known} != {plan.stream.split_seed}:
        return []
    fresh = len(_find_fresh(source, known)) - sum(count_left_out(split, "train") for split in known)
    if (fresh < more if more else fresh > 0) or not _are_unchanged(source, known):
        return []
    return list(known)


def count_left_out(split: Split, part: Part) -> int:
    """Return how many images of a part a split leaves out: unreadable ones and repeats."""
    repeats = split.repeats
    dropped = 0 if repeats is None or not repeats.dropped else getattr(repeats, part)
    return (split.skipped or {}).get(part, 0) + int(dropped)


def _find_fresh(source: Source, dealt: Sequence[Split]) -> Indices:
    """The places of the training images that belong to no random part, ``(N,)``."""
    held = {key for split in dealt for part in PARTS for key in split.keys(part)}
    keys = source.keys("train")
    return np.array([place for place, key in enumerate(keys) if key not in held], np.int64)


def _are_unchanged(source: Source, dealt: Sequence[Split]) -> bool:
    """Whether the images of random parts, and their classes, are those that were dealt."""
    names = source.class_names()
    labels: dict[object, int] = {
        key: label
        for part in PARTS
        for key, label in zip(source.keys(part), source.labels(part).tolist(), strict=True)
    }
    held: list[tuple[Part, Split]] = [("train", split) for split in dealt]
    return all(
        _is_unchanged(source, part, split, names, labels)
        for part, split in [*held, ("test", dealt[-1])]
    )


def _is_unchanged(
    source: Source,
    part: Part,
    split: Split,
    names: Sequence[str],
    labels: Mapping[object, int],
) -> bool:
    """Whether a part's images of a split are as they were, or all gone.

    Args:
        source: the data set.
        part: which images.
        split: of a random part.
        names: the classes of the data set, by label.
        labels: of all its images, by what names them.
    """
    keys = split.keys(part)
    if any(key not in labels for key in keys):
        # Places in an array do not go one by one.
        return isinstance(source, FileSource) and source.select(part, keys).is_gone()
    now = [names[labels[key]] for key in keys if labels[key] >= 0]
    same = split.fingerprint[part] == source.select(part, keys).fingerprint()
    return same and split.names(part) == now


def _deal_new_images(plan: PreparePlan, source: Source, dealt: Sequence[Split]) -> list[Task]:
    """The tasks of images that belong to no part yet; all are tested on all test images."""
    if plan.stream.num_tasks == len(dealt):
        return []
    learnt = {key for split in dealt for key in split.train}
    test = source.keys("test")
    asked = np.array([place for place, key in enumerate(test) if key not in learnt], np.int64)
    count = plan.stream.num_tasks - len(dealt)
    classes = list(range(len(source.class_names())))
    return [
        Task({"train": part, "test": asked}, classes)
        for part in data_incremental(_find_fresh(source, dealt), count, plan.stream.split_seed)
    ]


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
