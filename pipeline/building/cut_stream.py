"""The splits of a stream, as its images are now and as earlier tasks hold them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pipeline.artifacts.plans.prepare import PreparePlan
from pipeline.artifacts.split import Split, class_names, split_digest
from pipeline.artifacts.split_counts import Counts
from pipeline.building.repeats import mark_repeats
from pipeline.building.stream_contents import list_contents, require_all_tested
from pipeline.building.task_images import TaskImages
from pipeline.data.image_files.content import list_first
from pipeline.data.names import normalize_name
from pipeline.data.parts import PARTS, Part
from pipeline.data.source import Selection, Source
from pipeline.errors import DataError
from pipeline.files.sealed_json import digest

CONTENT_DIGITS = 16  # of a SHA-256 that a split keeps; one in 10^7 streams of a million collides


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
    contents = list_contents(plan, source, known)
    files = plan.dataset.files
    skip = files is not None and files.on_bad_image == "skip"
    held = _drop_unreadable(source, contents, skip=skip)
    held = mark_repeats(held, "keep" if files is None else files.duplicates, source.root)
    own, known_labels = _number_classes(plan, held)
    splits = [
        each
        if isinstance(each, Split)
        else _make_split(task, each, plan, source, own[task - 1], known_labels)
        for task, each in enumerate(held, start=1)
    ]
    _require_readable(source, contents, splits)
    if plan.whole_stream:
        others = digest([split_digest(split) for split in splits[1:]])
        splits[0] = replace(splits[0], others=others)
    return splits


def _require_readable(
    source: Source, before: Sequence[TaskImages | Split], splits: Sequence[Split]
) -> None:
    """Check that there are two classes or more, each with an image left, and what can be tested.

    Args:
        source: the data set.
        before: what the tasks hold with the images that cannot be read.
        splits: without.

    Raises:
        DataError: there is one class alone, a class has no image left in a part, or some tasks
            with labels have test images and others have none.
    """
    names = class_names(splits)
    if len(names) == 1:
        raise DataError(
            f"{source.root} has one class alone, '{names[0]}': nothing to tell apart; add others, "
            "or put the images beside each other without class folders"
        )
    for part in PARTS:
        left = {name for split in splits for name in split.names(part)}
        there = {name for task in before for name in task.names(part)}
        if lost := sorted(there - left):
            raise DataError(
                f"{source.root}: no image of the {part} part is left of {list_first(lost)} "
                "(unreadable ones and, with data.duplicates: drop, repeated ones do not count); "
                "add or mend some, or take the class away"
            )
    require_all_tested(splits, source.root)


def _drop_unreadable(
    source: Source, tasks: Sequence[TaskImages | Split], *, skip: bool
) -> list[TaskImages | Split]:
    """The tasks without the images that cannot be read.

    Args:
        source: the data set.
        tasks: what the tasks hold with them.
        skip: whether params leave them out.

    Raises:
        DataError: there are some, and params do not leave them out; names those of all tasks.
    """
    bad: dict[Part, dict[str, str]] = {part: {} for part in PARTS}
    found: list[TaskImages | Split] = []
    for task in tasks:
        if isinstance(task, Split):
            found.append(task)
            continue
        opened = {part: source.select(part, task.keys(part)) for part in PARTS}
        unreadable = {part: images.unreadable() for part, images in opened.items()}
        for part, held in unreadable.items():
            bad[part] |= {str(task.keys(part)[place]): why for place, why in held.items()}
        named = replace(task, contents=_read_contents(opened))
        found.append(
            replace(
                named.without(unreadable),
                skipped={part: len(held) for part, held in unreadable.items()},
                plain={part: len(images.plain()) for part, images in opened.items()},
            )
        )
    if not skip and any(bad.values()):
        problems = [
            f"{source.root}: {len(held)} of {_count(tasks, part)} images of the {part} part "
            f"cannot be used: {list_first([f'{key} ({why})' for key, why in held.items()])}"
            for part, held in bad.items()
            if held
        ]
        raise DataError(
            "; ".join(problems) + "; mend or remove them, or set data.on_bad_image: skip"
        )
    return found


def _read_contents(opened: Mapping[Part, Selection]) -> dict[str, Sequence[str]] | None:
    """A short digest of each image, by part; None where they are no files."""
    each = {part: images.contents() for part, images in opened.items()}
    if not any(each.values()):
        return None
    return {part: [digest[:CONTENT_DIGITS] for digest in held] for part, held in each.items()}


def _count(tasks: Sequence[TaskImages | Split], part: Part) -> int:
    """The number of images of a part, each counted once."""
    return len({key for task in tasks for key in task.keys(part)})


def _number_classes(
    plan: PreparePlan, tasks: Sequence[TaskImages | Split]
) -> tuple[list[dict[str, int]], dict[str, int]]:
    """The labels of each task's own classes, and of all classes, by name.

    A class keeps the label that it has, and new ones get the next, in the order of the tasks.
    """
    numbers = {name: label for label, name in enumerate(plan.dataset.classes)}
    own: list[dict[str, int]] = []
    for task in tasks:
        if isinstance(task, Split):
            names = map(normalize_name, task.class_names)
            own.append(dict(zip(names, task.classes, strict=True)))
        else:
            present = {name for part in PARTS for name in task.names(part)} - {*task.drifting}
            new = sorted(present - numbers.keys())
            numbers |= {name: len(numbers) + place for place, name in enumerate(new)}
            own.append({name: numbers[name] for name in sorted(present, key=numbers.__getitem__)})
        numbers |= own[-1]
    # Of a class that can be read nowhere else there may be images all the same.
    for name in (name for task in tasks for name in task.drifting or ()):
        numbers.setdefault(name, len(numbers))
    return own, numbers


def _make_split(
    task: int,
    held: TaskImages,
    plan: PreparePlan,
    source: Source,
    own: Mapping[str, int],
    numbers: Mapping[str, int],
) -> Split:
    """The split of a task.

    Args:
        task: its number.
        held: its images.
        plan: which images there are and how they are cut.
        source: the data set.
        own: the labels of its own classes, sorted.
        numbers: the labels of all classes.

    Raises:
        DataError: no image of a part can be read.
    """
    names = list(own)
    drifting = {name: numbers[name] for name in held.drifting if name in held.names("train")}
    labels = {**own, **drifting}
    for part in PARTS:
        if not held.keys(part) and (part == "train" or (names and source.needs_tests)):
            raise DataError(
                f"{source.root}: no image of the {part} part of task {task} is left (unreadable "
                "ones and, with data.duplicates: drop, repeated ones do not count)"
            )
    images = {part: source.select(part, held.keys(part)) for part in PARTS}
    return Split(
        task=task,
        scenario=plan.scenario,
        dataset=plan.dataset.name,
        root=plan.dataset.root,
        fingerprint={part: each.fingerprint() for part, each in images.items()},
        set_fingerprint={part: each.set_fingerprint() for part, each in images.items()},
        classes=list(own.values()),
        class_names=names,
        counts={
            "train": _count_classes(held, "train", list(labels)),
            "test": _count_classes(held, "test", names),
        },
        train=held.keys("train"),
        test=held.keys("test"),
        labels={part: [labels[name] for name in held.names(part)] for part in PARTS},
        domain=held.domain,
        skipped=held.skipped if any(held.skipped.values()) else None,
        plain=held.plain if held.plain is not None and any(held.plain.values()) else None,
        contents=held.contents,
        repeats=held.repeats,
        note=source.note or None,
        split_seed=plan.stream.split_seed if plan.scenario == "data" else None,
        share=held.share,
        drifting=drifting or None,
    )


def _count_classes(held: TaskImages, part: Part, names: Sequence[str]) -> Counts:
    """The number of images of each class, and of all."""
    each = dict.fromkeys(names, 0)
    for name in held.names(part):
        each[name] += 1
    return Counts(len(held.keys(part)), each)
