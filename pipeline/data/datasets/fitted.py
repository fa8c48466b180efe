"""Images of one data set at the size and with the channels of another's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.data.datasets.file_source import FileSource
from pipeline.data.image_files.decode import RESAMPLING
from pipeline.data.interpolation import Interpolation
from pipeline.data.luminance import LUMINANCE
from pipeline.data.parts import Part
from pipeline.data.source import Bytes, ImageReader, Keys, Labels, Selection, Source


def fit_channels(images: Bytes, channels: int) -> Bytes:
    """Return images ``(N, C, H, W)`` with one channel, or with three.

    Grey becomes three equal channels; red, green and blue become their luminance, rounded.
    """
    if images.shape[1] == channels:
        return images
    if channels == 1:
        weights = np.array(LUMINANCE, np.uint32)[:, None, None]
        total = (images.astype(np.uint32) * weights).sum(axis=1, keepdims=True, dtype=np.uint32)
        grey: Bytes = ((total + 0x8000) >> 16).astype(np.uint8)
        return grey
    return np.repeat(images, channels, axis=1)


def fit_size(images: Bytes, size: int, interpolation: Interpolation) -> Bytes:
    """Return images ``(N, C, H, W)`` resized to ``(N, C, size, size)``, with antialiasing."""
    if images.shape[2:] == (size, size):
        return images
    found = np.empty((*images.shape[:2], size, size), np.uint8)
    for place in np.ndindex(*images.shape[:2]):
        plane = Image.fromarray(images[place])
        found[place] = np.asarray(plane.resize((size, size), RESAMPLING[interpolation]))
    return found


@dataclass(frozen=True)
class FittedReader:
    """Reads images and fits them.

    Attributes:
        images: reads them as they are.
        channels: that they shall have.
        size: height and width that they shall have in pixels; None: they have it.
        interpolation: how they are resized.
    """

    images: ImageReader
    channels: int
    size: int | None
    interpolation: Interpolation

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, places: NDArray[np.int64]) -> Bytes:
        """Return the images at indices ``places`` ``(B,)``, ``(B, channels, H, W)``."""
        found = fit_channels(self.images[places], self.channels)
        return found if self.size is None else fit_size(found, self.size, self.interpolation)


@dataclass(frozen=True)
class FittedSelection(Selection):
    """Some images, fitted when they are read; all else is that of the images as they are.

    Attributes:
        images: the images as they are.
        source: says how they are fitted.
    """

    images: Selection
    source: Fitted

    def __len__(self) -> int:
        return len(self.images)

    def fingerprint(self) -> str:
        """Return the SHA-256 of the images as they are."""
        return self.images.fingerprint()

    def set_fingerprint(self) -> str:
        """Return the SHA-256 of the images as they are, as a set."""
        return self.images.set_fingerprint()

    def reader(self) -> ImageReader:
        """Return the reader of the fitted images."""
        fitted = self.source
        return FittedReader(
            self.images.reader(), fitted.channels, fitted.resized_to, fitted.interpolation
        )

    def files(self) -> Sequence[Path]:
        """Return the files of the images."""
        return self.images.files()

    def workers(self) -> int:
        """Return the number of processes to read batches."""
        return self.images.workers()

    def unreadable(self) -> dict[int, str]:
        """Return the unreadable images by index, each with the reason."""
        return self.images.unreadable()


class Fitted(Source):
    """A data set whose images enter a network that has learnt from those of another.

    Image files are read at the other's size already, so only arrays are resized.

    Args:
        source: the data set.
        channels: of the other's images.
        size: height and width of the other's images in pixels.
        interpolation: how arrays are resized.
    """

    def __init__(
        self, source: Source, channels: int, size: int, interpolation: Interpolation
    ) -> None:
        super().__init__(source.root)
        self.source = source
        self.channels = channels
        self.resized_to = None if isinstance(source, FileSource) else size
        self.interpolation = interpolation

    def describe_download(self) -> str:
        """Return the data set's description of its download."""
        return self.source.describe_download()

    def class_names(self) -> Sequence[str]:
        """Return the class names of the data set, by label."""
        return self.source.class_names()

    def labels(self, part: Part) -> Labels:
        """Return the labels of the data set, ``(N,)``."""
        return self.source.labels(part)

    def keys(self, part: Part) -> Keys:
        """Return what names each image of the data set, ``(N,)``."""
        return self.source.keys(part)

    def select(self, part: Part, keys: Keys) -> Selection:
        """Return the images that are named so, fitted when they are read."""
        return FittedSelection(self.source.select(part, keys), self)
