"""Domains made from one data set by fixed transformations: a check, not a benchmark.

They turn the images that come with the project into a domain-incremental stream, so that
the whole pipeline can be run without another data set. Results on them say nothing about
real domains such as photographs and sketches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.data.datasets.array_source import ArraySource, select_places
from pipeline.data.parts import Part
from pipeline.data.source import Bytes, Keys, Selection, Source, cached_by_part


def plain(images: Bytes) -> Bytes:
    """Return images ``(N, C, H, W)`` unchanged."""
    return images


def inverted(images: Bytes) -> Bytes:
    """Swap dark and bright."""
    return 255 - images


def rotated(images: Bytes) -> Bytes:
    """Rotate by 90 degrees, anticlockwise."""
    return np.rot90(images, axes=(2, 3))


def blurred(images: Bytes) -> Bytes:
    """Take the mean of 5×5 pixels; border pixels are repeated outwards."""
    padded = np.pad(images, ((0, 0), (0, 0), (2, 2), (2, 2)), mode="edge")
    total = np.zeros(images.shape, np.uint16)
    height, width = images.shape[2:]
    for top in range(5):
        for left in range(5):
            total += padded[:, :, top : top + height, left : left + width]
    return ((total + 12) // 25).astype(np.uint8)


def faded(images: Bytes) -> Bytes:
    """Reduce the contrast to a third, around the middle of the range."""
    return images // 3 + 85


TRANSFORMATIONS: dict[str, Callable[[Bytes], Bytes]] = {
    "plain": plain,
    "inverted": inverted,
    "rotated": rotated,
    "blurred": blurred,
    "faded": faded,
}


class Transformed(Source):
    """A data set whose images are assigned to domains in turn, class by class.

    Each image belongs to one transformation of ``TRANSFORMATIONS``, whichever are named: so a
    domain that is named later moves no image of the others. Domains hold equal numbers of images
    of each class, give or take one.

    Args:
        source: the underlying data set.
        names: the names of the transformations, in the order of the stream.
    """

    def __init__(self, source: ArraySource, names: Sequence[str]) -> None:
        super().__init__(source.root)
        self.source = source
        self.names = names
        self.note = (
            "The domains are the same kind of images under fixed transformations: "
            "a check of the path, not a benchmark."
        )

    def describe_download(self) -> str:
        """Return the underlying data set's description of its download."""
        return self.source.describe_download()

    def class_names(self) -> Sequence[str]:
        """Return the class names of the underlying data set, by label."""
        return self.source.class_names()

    def labels(self, part: Part) -> Bytes:
        """Return the labels of the underlying data set, ``(N,)``."""
        return self.source.labels(part)

    def domain_names(self) -> Sequence[str]:
        """Return the names of the transformations."""
        return self.names

    def domains(self, part: Part) -> NDArray[np.int64]:
        """Return the index of each image's domain among the names, ``(N,)``; -1: not named."""
        places = {name: place for place, name in enumerate(self.names)}
        named = np.array([places.get(name, -1) for name in TRANSFORMATIONS], np.int64)
        return named[self._deal(part)]

    def _deal(self, part: Part) -> NDArray[np.int64]:
        """Return the index of each image's transformation among all, ``(N,)``."""
        labels = self.labels(part)
        dealt = np.zeros(len(labels), np.int64)
        for label in np.unique(labels):
            held = np.flatnonzero(labels == label)
            dealt[held] = np.arange(len(held)) % len(TRANSFORMATIONS)
        return dealt

    @cached_by_part
    def images(self, part: Part) -> Bytes:
        """Return the transformed images, ``(N, C, H, W)``."""
        images, dealt = self.source.images(part).copy(), self._deal(part)
        for number, transform in enumerate(TRANSFORMATIONS.values()):
            chosen = dealt == number
            images[chosen] = transform(images[chosen])
        return images

    def select(self, part: Part, keys: Keys) -> Selection:
        """Return the transformed images at some places."""
        return select_places(self.root, lambda: self.images(part), self.labels(part), keys)
