"""The splits of a stream, as its images are now and as earlier tasks hold them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline import layout
from pipeline.artifacts.plans.prepare import PreparePlan
from pipeline.artifacts.split import Counts, Split
from pipeline.building.split_images import images_are_gone
from pipeline.data.image_files.content import list_first
from pipeline.data.parts import PARTS, Part
from pipeline.data.source import Keys, Source
from pipeline.data.stream.scenarios import Task, divide_into_tasks
from pipeline.data.stream.tasks import data_incremental
from pipeline.errors import DataError


@dataclass(frozen=True)
class TaskContents:
    """What a task holds, with the names of its classes.

    Attributes:
        held: what names its images, by part.
        names: the class of each image, by part; empty without labels.
        domain: the name of its domain or folder.
        skipped: numbers of images that cannot be read and are left out, by part.
    """

    held: Mapping[Part, Keys]
    names: Mapping[Part, Sequence[str]]
    domain: str | None
    skipped: Mapping[Part, int]

    def keys(self, part: Part) -> Keys:
        """What names its images of a part."""
        return self.held[part]


def cut_stream(plan: PreparePlan, source: Source, known: Sequence[Split] = ()) -> list[Split]:
    """The split of each task.

    What an earlier task holds never moves when something is appended: a task whose folder is no
    longer there keeps the split that it had, and random parts stay as they were dealt, with new
    images as the next parts.

    Args:
        plan: which images there are and how they are cut.
        source: the data set, with the options of the plan.
        known: the splits of an earlier cut, from task 1 on.

    Raises:
        DataError: images or labels are missing or damaged, or cannot be cut as planned.
    """
    held = _drop_unreadable(source, list_contents(plan, source, known))
    splits: list[Split] = []
    numbers = {name: label for label, name in enumerate(plan.dataset.classes)}
    for task, each in enumerate(held, start=1):
        split = each if isinstance(each, Split) else _make_split(task, each, plan, source, numbers)
        numbers |= dict(zip(split.class_names, split.classes, strict=True))
        splits.append(split)
    return splits


def list_contents(
    plan: PreparePlan, source: Source, known: Sequence[Split] = ()
) -> list[TaskContents | Split]:
    """What each task holds, or its split where that stays; no image is read.

    Arguments and errors are those of ``cut_stream``.
    """
    cut: Sequence[Task | Split]
    if plan.scenario == "folders":
        cut = _follow_folders(plan, source, known)
    elif plan.scenario == "data" and (dealt := _find_dealt(plan, source, known)):
        cut = [*dealt, *_deal_new_images(plan, source, dealt)]
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
        elif before is not None and (before.scenario, before.domain) == ("folders", folder):
            cut.append(before)
        else:
            raise DataError(
                f"task {number}: the folder '{folder}' is missing in {source.root}, and "
                f"{layout.split(number)} does not say what it held; bring it back"
            )
    return cut


def _find_dealt(plan: PreparePlan, source: Source, known: Sequence[Split]) -> list[Split]:
    """The random parts that stay as they are; none where the images are dealt anew.

    They stay where nothing is new, and where tasks are appended and images that belong to none
    of them have come.
    """
    more = plan.stream.num_tasks - len(known)
    same = ("data", plan.dataset.name, plan.stream.split_seed)
    if more < 0 or {(each.scenario, each.dataset, each.split_seed) for each in known} != {same}:
        return []
    held = {key for split in known for part in PARTS for key in split.keys(part)}
    fresh = len(set(source.keys("train")) - held)
    unchanged = all(
        images_are_gone(source, split)
        or split.fingerprint["train"] == source.select("train", split.train).fingerprint()
        for split in known
    )
    return list(known) if unchanged and (fresh >= more if more else fresh == 0) else []


def _deal_new_images(plan: PreparePlan, source: Source, dealt: Sequence[Split]) -> list[Task]:
    """The tasks of images that belong to no part yet; all are tested on all test images."""
    if plan.stream.num_tasks == len(dealt):
        return []
    held = {key for split in dealt for part in PARTS for key in split.keys(part)}
    learnt = {key for split in dealt for key in split.train}
    train, test = (source.keys(part) for part in PARTS)
    fresh = np.array([place for place, key in enumerate(train) if key not in held], np.int64)
    asked = np.array([place for place, key in enumerate(test) if key not in learnt], np.int64)
    count = plan.stream.num_tasks - len(dealt)
    classes = list(range(len(source.class_names())))
    return [
        Task({"train": part, "test": asked}, classes)
        for part in data_incremental(fresh, count, plan.stream.split_seed)
    ]


def _read(task: Task, source: Source) -> TaskContents:
    """What a task holds, named as the data set names it."""
    names = source.class_names()
    keys: dict[Part, Keys] = {}
    classes: dict[Part, Sequence[str]] = {}
    for part in PARTS:
        all_keys, labels = source.keys(part), source.labels(part)[task.images[part]]
        chosen = task.images[part].tolist()
        keys[part] = [all_keys[place] for place in chosen]
        classes[part] = [names[label] for label in labels.tolist() if label >= 0]
    return TaskContents(keys, classes, task.domain, {})


def _drop_unreadable(
    source: Source, tasks: Sequence[TaskContents | Split]
) -> list[TaskContents | Split]:
    """The tasks without the images that cannot be read.

    Raises:
        DataError: there are some, and params do not leave them out; names those of all tasks.
    """
    skip = getattr(getattr(source, "options", None), "on_bad_image", "error") == "skip"
    bad: dict[Part, dict[str, str]] = {part: {} for part in PARTS}
    found: list[TaskContents | Split] = []
    for task in tasks:
        if isinstance(task, Split):
            found.append(task)
            continue
        keys, names, skipped = dict(task.held), dict(task.names), {}
        for part in PARTS:
            unreadable = source.select(part, keys[part]).unreadable()
            bad[part] |= {str(keys[part][place]): why for place, why in unreadable.items()}
            skipped[part] = len(unreadable)
            if unreadable and skip:
                kept = [place for place in range(len(keys[part])) if place not in unreadable]
                names[part] = [names[part][place] for place in kept] if names[part] else []
                keys[part] = [keys[part][place] for place in kept]  # type: ignore[assignment]
        found.append(replace(task, held=keys, names=names, skipped=skipped))
    if not skip and any(bad.values()):
        problems = [
            f"{source.root}: {len(held)} of {len(source.labels(part))} images of the {part} part "
            f"cannot be used: {list_first([f'{key} ({why})' for key, why in held.items()])}"
            for part, held in bad.items()
            if held
        ]
        raise DataError(
            "; ".join(problems) + "; mend or remove them, or set data.on_bad_image: skip"
        )
    return found


def _make_split(
    task: int, held: TaskContents, plan: PreparePlan, source: Source, numbers: Mapping[str, int]
) -> Split:
    """The split of a task; its classes keep the labels that they have, and new ones get the next.

    Raises:
        DataError: no image can be read, or none of a class in a part.
    """
    present = sorted({name for part in PARTS for name in held.names[part]})
    new = [name for name in present if name not in numbers]
    known = {**numbers, **{name: len(numbers) + place for place, name in enumerate(new)}}
    names = sorted(present, key=lambda name: known[name])
    for part in PARTS:
        without = sorted(set(names) - set(held.names[part]))
        if without or not (held.keys(part) or (part == "test" and not names)):
            raise DataError(
                f"{source.root}: the {part} part of task {task} has no image that can be read"
                + (f" of {list_first(without)}" if without else "")
            )
    images = {part: source.select(part, held.keys(part)) for part in PARTS}
    return Split(
        task=task,
        scenario=plan.scenario,
        dataset=plan.dataset.name,
        fingerprint={part: each.fingerprint() for part, each in images.items()},
        set_fingerprint={part: each.set_fingerprint() for part, each in images.items()},
        classes=[known[name] for name in names],
        class_names=names,
        counts={part: _count(held, part, names) for part in PARTS},
        train=held.keys("train"),
        test=held.keys("test"),
        labels={part: [known[name] for name in held.names[part]] for part in PARTS},
        domain=held.domain,
        skipped=dict(held.skipped) if any(held.skipped.values()) else None,  # type: ignore[arg-type]
        note=source.note or None,
        split_seed=plan.stream.split_seed if plan.scenario == "data" else None,
    )


def _count(held: TaskContents, part: Part, names: Sequence[str]) -> Counts:
    """The number of images of each class, and of all."""
    each = dict.fromkeys(names, 0)
    for name in held.names[part]:
        each[name] += 1
    return Counts(len(held.keys(part)), each)
