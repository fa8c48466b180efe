"""Data sets that fit into memory as bytes."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path

from pipeline.data.parts import Part
from pipeline.data.source import Bytes, Source, cached_by_part


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

    @cached_by_part
    def fingerprint(self, part: Part) -> str:
        """Return the SHA-256 of the images and labels of a part."""
        images, labels = self._whole(part)
        return hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
