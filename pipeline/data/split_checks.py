"""What a split must be, whoever wrote it: checked before an image is chosen by it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.data.source import PARTS, Part, Source
from pipeline.errors import DataError
from pipeline.files import Json

REMEDY = "run `cassle prepare` again"


def check_split(split: Json, task: int, path: Path) -> None:
    """Check that a split is one of a task, apart from any images.

    Raises:
        DataError: a key is missing, or holds what no split can hold.
    """

    def require(holds: bool, problem: str) -> None:
        if not holds:
            raise DataError(f"{path} is no split of task {task}: {problem}; {REMEDY}")

    found = split.get("task")
    require(type(found) is int and found == task, f"it says task {_short(found)}")
    for key in ("scenario", "dataset"):
        require(isinstance(split.get(key), str), f"{key} is {_short(split.get(key))}")
    fingerprint = split.get("fingerprint")
    known = isinstance(fingerprint, dict) and all(
        isinstance(fingerprint.get(part), str) for part in PARTS
    )
    require(known, f"fingerprint is {_short(fingerprint)}")
    for key in ("classes", *PARTS):
        numbers = split.get(key)
        # Without labels there are no classes, and nothing need be tested.
        may_be_empty = key == "classes" or (key == "test" and not split["classes"])
        if not isinstance(numbers, list) or not (numbers or may_be_empty):
            raise DataError(
                f"{path} is no split of task {task}: {key} is {_short(numbers)}, expected a list "
                f"of numbers; {REMEDY}"
            )
        wrong = [number for number in numbers if type(number) is not int or number < 0]
        require(not wrong, f"{key} holds {_short(wrong[0] if wrong else None)}")
        require(len(set(numbers) if not wrong else ()) == len(numbers), f"{key} holds one twice")
    names, classes = split.get("class_names"), split["classes"]
    named = isinstance(names, list) and all(isinstance(name, str) for name in names)
    require(named, f"class_names is {_short(names)}")
    assert isinstance(names, list), "checked above"
    assert isinstance(classes, list), "checked above"
    require(len(names) == len(classes), f"{len(names)} names for {len(classes)} classes")


def require_images(source: Source, name: Part, split: Json) -> None:
    """Check that a part's images are those that a split was made of, and its own.

    Args:
        source: the data set.
        name: of the part.
        split: that ``check_split`` has passed.

    Raises:
        DataError: they are other images, or there are none of these numbers and classes.
    """
    fingerprint, chosen, classes = split["fingerprint"], split[name], split["classes"]
    assert isinstance(fingerprint, dict), "checked when the split was read"
    assert isinstance(chosen, list), "checked when the split was read"
    assert isinstance(classes, list), "checked when the split was read"
    if fingerprint[name] != source.fingerprint(name):
        raise DataError(
            f"the images in {source.root} changed since the split; run `cassle prepare`"
        )
    labels = source.labels(name)
    if max(chosen, default=0) >= max(len(labels), 1):
        raise DataError(
            f"the split of task {split['task']} names {name} image {_short(max(chosen))}, but "
            f"{source.root} has {len(labels)}; {REMEDY}"
        )
    # -1: no label.
    foreign = set(labels[np.array(chosen, np.int64)].tolist()) - {*classes, -1}
    if foreign:
        raise DataError(
            f"the split of task {split['task']} names {name} images of class {min(foreign)}, which "
            f"is not among its classes; {REMEDY}"
        )


def require_classes(splits: Sequence[Json], number: int) -> None:
    """Check that no split has a class beyond those of the data set.

    Raises:
        DataError: one has.
    """
    for split in splits:
        classes = split["classes"]
        assert isinstance(classes, list), "checked when the split was read"
        if max(classes, default=-1) >= number:
            raise DataError(
                f"the split of task {split['task']} has class {_short(max(classes))}, but the "
                f"data set has {number}; {REMEDY}"
            )


def _short(value: object) -> str:
    if isinstance(value, int) and value.bit_length() > 200:
        return "a number of more than 60 digits"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
