"""Domains made of one data set by fixed transformations: a check, not a benchmark.

They make a domain-incremental stream of images that come with the project, so that its
whole path can be run without another data set. What a network learns from them says nothing
about domains of photographs, sketches and the like.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.data.datasets.array_source import ArraySource
from pipeline.data.source import Bytes, Part, Source, cached_by_part


def plain(images: Bytes) -> Bytes:
    """Return images ``(N, C, H, W)`` as they are."""
    return images


def inverted(images: Bytes) -> Bytes:
    """Swap dark and bright."""
    return 255 - images


def rotated(images: Bytes) -> Bytes:
    """Turn by 90 degrees, anticlockwise."""
    return np.rot90(images, axes=(2, 3))


def blurred(images: Bytes) -> Bytes:
    """Take the mean of 5×5 pixels, the border repeated outwards."""
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
    """A data set whose images are dealt out to domains, class by class, in turn.

    Each image is in one domain alone, transformed as its name says, and every domain holds
    as many images of each class as the others, or one more.

    Args:
        source: the data set.
        names: of the transformations, in the order of the stream.
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
        """Return what of the data set reading would fetch."""
        return self.source.describe_download()

    def class_names(self) -> Sequence[str]:
        """Return the data set's own."""
        return self.source.class_names()

    def labels(self, part: Part) -> Bytes:
        """Return the data set's own."""
        return self.source.labels(part)

    def domain_names(self) -> Sequence[str]:
        """Return the names of the transformations."""
        return self.names

    def domains(self, part: Part) -> NDArray[np.int64]:
        """Return the transformation of each image, ``(N,)``."""
        labels = self.labels(part)
        dealt = np.zeros(len(labels), np.int64)
        for label in np.unique(labels):
            held = np.flatnonzero(labels == label)
            dealt[held] = np.arange(len(held)) % len(self.names)
        return dealt

    @cached_by_part
    def images(self, part: Part) -> Bytes:
        """Return the transformed images, ``(N, C, H, W)``."""
        images, domains = self.source.images(part).copy(), self.domains(part)
        for number, name in enumerate(self.names):
            chosen = domains == number
            images[chosen] = TRANSFORMATIONS[name](images[chosen])
        return images

    def fingerprint(self, part: Part) -> str:
        """Return the SHA-256 of the transformed images and their labels."""
        content = self.images(part).tobytes() + self.labels(part).tobytes()
        return hashlib.sha256(content).hexdigest()
