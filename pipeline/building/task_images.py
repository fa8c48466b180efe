"""The images of a task before its split is made."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.artifacts.split_counts import Repeats
from pipeline.data.parts import Part
from pipeline.data.source import Keys


def as_keys(names: Sequence[int | str]) -> Keys:
    """Return what names images, which is all numbers or all paths, as the type that says so."""
    return names  # type: ignore[return-value]


@dataclass(frozen=True)
class TaskImages:
    """The images of a task, with the names of their classes.

    Attributes:
        held: what names its images, by part.
        classes: the class of each image, by part; empty without labels.
        domain: the name of its domain or folder.
        skipped: numbers of images that cannot be read and are left out, by part.
        plain: numbers of images of a single color, by part.
        contents: a digest of each image alone, by part, once they are read; see Split.
        repeats: the images whose bytes an earlier image has.
        share: the share of its training images that it keeps.
        drifting: the names of its neighbours' classes, where boundaries are blurred.
    """

    held: Mapping[Part, Keys]
    classes: Mapping[Part, Sequence[str]]
    domain: str | None
    skipped: Mapping[str, int]
    plain: Mapping[str, int] | None = None
    contents: Mapping[str, Sequence[str]] | None = None
    repeats: Repeats | None = None
    share: float = 1.0
    drifting: Sequence[str] = ()

    def keys(self, part: Part) -> Keys:
        """What names its images of a part."""
        return self.held[part]

    def names(self, part: Part) -> Sequence[str]:
        """The name of the class of each of its images of a part; none without labels."""
        return self.classes[part]

    def without(self, out: Mapping[Part, Collection[int]]) -> TaskImages:
        """The task without the images at some places, by part."""
        held, classes, contents = dict(self.held), dict(self.classes), dict(self.contents or {})
        for part, places in out.items():
            gone, keys = set(places), self.keys(part)
            kept = [place for place in range(len(keys)) if place not in gone]
            held[part] = as_keys([keys[place] for place in kept])
            for by_image in (classes, contents):
                if by_image.get(part):
                    by_image[part] = [by_image[part][place] for place in kept]
        return replace(self, held=held, classes=classes, contents=contents or None)
