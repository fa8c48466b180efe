"""The labelled folder that states are evaluated on where the tasks have no labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class LabelledSet:
    """A labelled folder, whose images stand for those of all tasks.

    Attributes:
        root: the folder, as params name it.
        classes: the number of images of each class by its name, by part.
        fingerprint: SHA-256 of the images, by part.
    """

    root: str
    classes: Mapping[str, Mapping[str, int]]
    fingerprint: Mapping[str, str]

    def count(self, part: str) -> int:
        """The number of images of a part."""
        return sum(self.classes[part].values())

    def by_class(self) -> dict[str, tuple[int, int]]:
        """The numbers of images of each class to fit probes and to test them, by its name."""
        train, test = self.classes["train"], self.classes["test"]
        return {name: (train.get(name, 0), test.get(name, 0)) for name in {**train, **test}}
