"""Data sets that fit into memory as bytes, and selections of such."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.data.parts import Part
from pipeline.data.source import Bytes, Keys, Labels, Selection, Source, cached_by_part
from pipeline.errors import DataError, shorten
from pipeline.files.sealed_json import add_digests


@dataclass(frozen=True)
class ArraySelection(Selection):
    """Some images of an array.

    Attributes:
        images: reads all images, ``(N, C, H, W)``.
        labels: of all images, ``(N,)``.
        places: the indices of these, ``(M,)``.
    """

    images: Callable[[], Bytes]
    labels: Labels
    places: Sequence[int]

    def __len__(self) -> int:
        return len(self.places)

    def reader(self) -> Bytes:
        """Return the images, ``(M, C, H, W)``."""
        return self.images()[np.array(self.places, np.int64)]

    def fingerprint(self) -> str:
        """Return the SHA-256 of the images and labels."""
        labels = self.labels[np.array(self.places, np.int64)]
        return hashlib.sha256(self.reader().tobytes() + labels.tobytes()).hexdigest()

    def set_fingerprint(self) -> str:
        """Return the SHA-256 of the images and labels as a set."""
        labels = self.labels[np.array(self.places, np.int64)]
        pairs = zip(self.reader(), labels, strict=True)
        return add_digests(
            hashlib.sha256(image.tobytes() + label.tobytes()).hexdigest() for image, label in pairs
        )


def select_all(images: Bytes) -> Selection:
    """Return all images of an array, ``(N, C, H, W)``, which need no labels."""
    return ArraySelection(lambda: images, np.zeros(len(images), np.uint8), range(len(images)))


def select_places(root: Path, images: Callable[[], Bytes], labels: Labels, keys: Keys) -> Selection:
    """Return the images at some places of an array.

    Args:
        root: the data set's folder, for messages.
        images: reads all images, ``(N, C, H, W)``.
        labels: of all images, ``(N,)``.
        keys: indices, each from 0 to N - 1.

    Raises:
        DataError: a key is no such index.
    """
    places = [key for key in keys if isinstance(key, int) and 0 <= key < len(labels)]
    if len(places) < len(keys):
        strange = next(key for key in keys if key not in places)
        raise DataError(
            f"{root} has {len(labels)} images, and none is named {shorten(strange)}; run "
            "`cassle prepare` again"
        )
    return ArraySelection(images, labels, places)


class ArraySource(Source):
    """A data set that is read into memory. Importing this module imports no torch.

    Args:
        root: its folder.
        full: the whole data set instead of the subset that comes with the project.
        classes: the names of the classes, by label.
    """

    def __init__(self, root: Path, full: bool, classes: Sequence[str] = ()) -> None:
        super().__init__(root)
        self.full = full
        self.classes = classes

    @abstractmethod
    def _read(self, part: Part) -> tuple[Bytes, Bytes]:
        """Return the images, ``(N, C, H, W)``, and their labels, ``(N,)``.

        Raises:
            DataError: files are missing or damaged.
        """

    @cached_by_part
    def _whole(self, part: Part) -> tuple[Bytes, Bytes]:
        return self._read(part)

    def class_names(self) -> Sequence[str]:
        """Return the names of the classes, by label."""
        return self.classes

    def labels(self, part: Part) -> Bytes:
        """Return the label of each image, ``(N,)``."""
        return self._whole(part)[1]

    def images(self, part: Part) -> Bytes:
        """Return the images, ``(N, C, H, W)``, in the order of the labels."""
        return self._whole(part)[0]

    def select(self, part: Part, keys: Keys) -> Selection:
        """Return the images at some places."""
        return select_places(self.root, lambda: self.images(part), self.labels(part), keys)
