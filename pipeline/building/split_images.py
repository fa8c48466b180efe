"""The images of a split, once they are known to be those it was made of."""

from __future__ import annotations

from pipeline.artifacts.split import Split
from pipeline.data.parts import Part
from pipeline.data.source import Keys, Selection, Source
from pipeline.errors import DataError
from pipeline.runtime.inputs import Inputs, digest_status


def open_images(source: Source, part: Part, split: Split, inputs: Inputs) -> Selection:
    """The images of a part of a split, noted among a stage's inputs.

    Raises:
        DataError: they are gone, or are other images than those the split was made of.
    """
    keys, what = split.keys(part), f"the {part} images of task {split.task} in {source.root}"
    if len(keys) and source.select(part, keys).is_gone():
        raise DataError(
            f"the {part} images of task {split.task} are no longer in {source.root}, and they "
            "are needed; bring them back"
        )
    selection = note_images(source, part, keys, what, inputs)
    if split.fingerprint[part] != selection.fingerprint():
        raise DataError(f"{what} changed since the split; run `cassle prepare`, then `dvc repro`")
    return selection


def note_images(source: Source, part: Part, keys: Keys, what: str, inputs: Inputs) -> Selection:
    """The images that are named so, noted among a stage's inputs.

    Images in memory cannot change, whatever becomes of their files.

    Args:
        source: the data set.
        part: of the data set.
        keys: what names the images.
        what: their name in messages.
        inputs: what the stage is made from.

    Raises:
        DataError: files are missing or damaged.
    """
    images = source.select(part, keys)
    if files := images.files():
        status = digest_status(files)
        inputs.note(
            f"{what} changed while {inputs.stage} ran; put them back "
            "and run the same command again, or run `cassle prepare`, then `dvc repro`",
            lambda: files,
            lambda: source.select(part, keys).fingerprint(),
            (status, images.fingerprint()),
        )
    return images


def images_are_gone(source: Source, split: Split) -> bool:
    """Whether no training image of a split is here any more."""
    return source.select("train", split.train).is_gone()
