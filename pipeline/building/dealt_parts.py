"""Random parts that were dealt before: which stay, and new images as the next ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.artifacts.plans.prepare import PreparePlan
from pipeline.artifacts.split import Split
from pipeline.data.datasets.file_source import FileSource
from pipeline.data.parts import PARTS, Part
from pipeline.data.source import Source
from pipeline.data.stream.scenarios import Task
from pipeline.data.stream.tasks import Indices, data_incremental


def find_dealt(plan: PreparePlan, source: Source, known: Sequence[Split]) -> list[Split]:
    """The random parts that stay as they are; none where the images are dealt anew.

    They stay where nothing is new, and where tasks are appended and images that belong to none
    of them have come. Of parts of unequal lengths none stays: a task more changes all of them.
    """
    if plan.stream.imbalanced > 1 or any(split.share < 1 for split in known):
        return []
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


def deal_new_images(plan: PreparePlan, source: Source, dealt: Sequence[Split]) -> list[Task]:
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
