"""What every data set is: labels and images by part, read from disk."""

from __future__ import annotations

import functools
import hashlib
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Part = Literal["train", "test"]
Bytes = NDArray[np.uint8]


class Source(ABC):
    """A data set on disk. Reading it imports no torch.

    Args:
        root: the folder that holds it.
        full: all of it instead of the subset that comes with the project.
    """

    def __init__(self, root: Path, full: bool) -> None:
        self.root = root
        self.full = full

    @abstractmethod
    def present(self) -> bool:
        """Return whether reading would find the files without fetching any."""

    @abstractmethod
    def _read(self, part: Part) -> tuple[Bytes, Bytes]:
        """Return the images, ``(N, C, H, W)``, and the label of each, ``(N,)``.

        Raises:
            DataError: files are missing or damaged.
        """

    @functools.cache  # noqa: B019 - a source lives as long as its stage
    def _once(self, part: Part) -> tuple[Bytes, Bytes]:
        return self._read(part)

    def labels(self, part: Part) -> Bytes:
        """Return the label of each image, ``(N,)``.

        Raises:
            DataError: files are missing or damaged.
        """
        return self._once(part)[1]

    def images(self, part: Part) -> Bytes:
        """Return the images, ``(N, C, H, W)``, in the order of the labels.

        Raises:
            DataError: files are missing or damaged.
        """
        return self._once(part)[0]

    @functools.cache  # noqa: B019 - as above
    def fingerprint(self, part: Part) -> str:
        """Return the SHA-256 of the images and labels of a part.

        Raises:
            DataError: files are missing or damaged.
        """
        images, labels = self._once(part)
        return hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
