"""The Source contract: a data set's labels, domains and images, by part.

A source says which images there are (its catalogue), and opens those that a split names. To
open some it need not know the others, so that images of earlier tasks may be gone.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.data.parts import PARTS, Part
from pipeline.errors import DataError

Bytes = NDArray[np.uint8]
Labels = NDArray[np.int64] | NDArray[np.uint8]
# What names images in a split: files by their paths, images of an array by their places.
Keys = Sequence[int] | Sequence[str]
Value = TypeVar("Value")
SourceType = TypeVar("SourceType", bound="Source")


class ImageReader(Protocol):
    """Images read by index; a NumPy array qualifies."""

    def __len__(self) -> int: ...

    def __getitem__(self, places: NDArray[np.int64], /) -> Bytes:
        """Return the images at indices ``places`` ``(B,)``, in that order, ``(B, C, H, W)``."""


def cached_by_part(
    method: Callable[[SourceType, Part], Value],
) -> Callable[[SourceType, Part], Value]:
    """Cache a source's method by part, as long as the source lives."""

    @functools.wraps(method)
    def remembered(source: SourceType, part: Part) -> Value:
        held: dict[Part, Value] = source.__dict__.setdefault(f"_once_{method.__name__}", {})
        if part not in held:
            held[part] = method(source, part)
        return held[part]

    return remembered


class Selection(ABC):
    """Some of a data set's images, in a given order."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def fingerprint(self) -> str:
        """Return a SHA-256 of the images and of what names them.

        Raises:
            DataError: files are missing or damaged.
        """

    @abstractmethod
    def set_fingerprint(self) -> str:
        """Return a SHA-256 of the images as a set, in whichever order.

        Raises:
            DataError: files are missing or damaged.
        """

    @abstractmethod
    def reader(self) -> ImageReader:
        """Return the reader of these images.

        Raises:
            DataError: files are missing or damaged.
        """

    def files(self) -> Sequence[Path]:
        """Return the files that images are read from at each read; none if all are in memory."""
        return ()

    def workers(self) -> int:
        """Return the number of processes to read training batches; 0: read in this process."""
        return 0

    def unreadable(self) -> dict[int, str]:
        """Return the unreadable images by index, each with the reason."""
        return {}

    def plain(self) -> Sequence[int]:
        """Return the indices of the images of a single color, where that is looked at."""
        return ()

    def contents(self) -> Sequence[str]:
        """Return a SHA-256 of each image alone, ``(N,)``; empty where images are no files."""
        return ()

    def is_gone(self) -> bool:
        """Return whether none of the images is here any more."""
        return False


class Source(ABC):
    """A data set on disk. Importing this module imports no torch.

    Args:
        root: its folder.

    Attributes:
        note: a remark on its images for the report; may be empty.
        needs_tests: whether each class must have images to test on.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.note = ""
        self.needs_tests = True

    def describe_download(self) -> str:
        """Return a description of the download or unpacking that is needed first; empty: none."""
        return ""

    @abstractmethod
    def class_names(self) -> Sequence[str]:
        """Return the names of the classes by label; empty without labels.

        Raises:
            DataError: files are missing or damaged.
        """

    @abstractmethod
    def labels(self, part: Part) -> Labels:
        """Return the label of each image, ``(N,)``; -1 without labels.

        Raises:
            DataError: files are missing or damaged.
        """

    def keys(self, part: Part) -> Keys:
        """Return what names each image, ``(N,)``, in the order of the labels: here its place.

        Raises:
            DataError: files are missing or damaged.
        """
        return range(len(self.labels(part)))

    @abstractmethod
    def select(self, part: Part, keys: Keys) -> Selection:
        """Return the images that are named so, in this order.

        Raises:
            DataError: a key names no image.
        """

    def domain_names(self) -> Sequence[str]:
        """Return the names of the domains in the order of the stream; empty without domains."""
        return ()

    def domains(self, part: Part) -> NDArray[np.int64]:
        """Return the domain of each image, ``(N,)``, as an index into the domain names.

        Raises:
            DataError: the data set has no domains.
        """
        raise DataError(f"{self.root} has no domains")

    def require_classes(self) -> None:
        """Check that there are two classes or more, each with training and test images.

        Raises:
            DataError: there is only one class, or a class without images in a part.
        """
        names = self.class_names()
        if len(names) == 1:
            raise DataError(
                f"{self.root} has one class alone, '{names[0]}': nothing to tell apart; add "
                "others, or put the images beside each other without class folders and set "
                "scenario: data"
            )
        for part in PARTS:
            labels = self.labels(part)
            counts = np.bincount(labels[labels >= 0], minlength=len(names))
            missing = [name for name, count in zip(names, counts, strict=True) if count == 0]
            if missing and (part == "train" or self.needs_tests):
                raise DataError(
                    f"{self.root}: the {part} part has no image of {len(missing)} of {len(names)} "
                    f"classes: {', '.join(missing[:10])}; add some, or take the class away"
                )
