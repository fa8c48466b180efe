"""The images of a split, once they are known to be those it was made of."""

from __future__ import annotations

from pipeline.artifacts.split import Split
from pipeline.data.parts import Part
from pipeline.data.source import Selection, Source
from pipeline.errors import DataError


def open_images(source: Source, part: Part, split: Split) -> Selection:
    """The images of a part of a split.

    Raises:
        DataError: they are gone, or are other images than those the split was made of.
    """
    selection = source.select(part, split.keys(part))
    if len(selection) and selection.is_gone():
        raise DataError(
            f"the {part} images of task {split.task} are no longer in {source.root}, and they "
            "are needed; bring them back"
        )
    if split.fingerprint[part] != selection.fingerprint():
        raise DataError(
            f"the {part} images of task {split.task} in {source.root} changed since the split; "
            "run `cassle prepare`"
        )
    return selection


def images_are_gone(source: Source, split: Split) -> bool:
    """Whether no training image of a split is here any more."""
    return source.select("train", split.train).is_gone()
