"""What a split must be, whoever wrote it: checked before an image is chosen by it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.artifacts.split import REMEDY
from pipeline.data.source import Part, Source
from pipeline.errors import DataError, shorten
from pipeline.files.sealed_json import Json


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
            f"the split of task {split['task']} names {name} image {shorten(max(chosen))}, but "
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
                f"the split of task {split['task']} has class {shorten(max(classes))}, but the "
                f"data set has {number}; {REMEDY}"
            )
