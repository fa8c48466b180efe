"""Whether the images of a data set are those that a split was made of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.artifacts.split import REMEDY, Split
from pipeline.data.parts import Part
from pipeline.data.source import Source
from pipeline.errors import DataError, shorten


def select_images(source: Source, part: Part, split: Split) -> NDArray[np.int64]:
    """The indices of a split's images, int64 ``(N,)``, once the data set is checked.

    Raises:
        DataError: the data set holds other images than those the split was made of, or none of
            these numbers and classes.
    """
    chosen = split.indices(part)
    if split.fingerprint[part] != source.fingerprint(part):
        raise DataError(
            f"the images in {source.root} changed since the split; run `cassle prepare`"
        )
    labels = source.labels(part)
    if max(chosen, default=0) >= max(len(labels), 1):
        raise DataError(
            f"the split of task {split.task} names {part} image {shorten(max(chosen))}, but "
            f"{source.root} has {len(labels)}; {REMEDY}"
        )
    indices = np.array(chosen, np.int64)
    # -1: no label.
    foreign = set(labels[indices].tolist()) - {*split.classes, -1}
    if foreign:
        raise DataError(
            f"the split of task {split.task} names {part} images of class {min(foreign)}, which "
            f"is not among its classes; {REMEDY}"
        )
    return indices


def require_classes(splits: Sequence[Split], number: int) -> None:
    """Check that no split has a class beyond those of the data set.

    Raises:
        DataError: one has.
    """
    for split in splits:
        if max(split.classes, default=-1) >= number:
            raise DataError(
                f"the split of task {split.task} has class {shorten(max(split.classes))}, but the "
                f"data set has {number}; {REMEDY}"
            )
