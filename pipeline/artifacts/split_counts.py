"""Numbers that a split keeps: of its images by class, and of those that others are too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Counts:
    """Numbers of images.

    Attributes:
        all: of the part.
        classes: of each class, by name.
    """

    all: int
    classes: Mapping[str, int]


@dataclass(frozen=True)
class Repeats:
    """Images of a task whose bytes are those of an earlier image of the stream.

    Attributes:
        train: the number of training images that are.
        test: the number of test images that are.
        leaked: how many test images, of this task or of those before it, have the bytes of a
            training image since this task came.
        dropped: whether they are left out.
    """

    train: int
    test: int
    leaked: int
    dropped: bool = False
