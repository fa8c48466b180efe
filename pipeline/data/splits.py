"""What the splits say of the whole stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from pipeline.files import Json


def shared_test(splits: Sequence[Json]) -> bool:
    """Return whether every task is tested on the same images."""
    return splits[0]["scenario"] == "data"


def class_names(splits: Sequence[Json]) -> list[str]:
    """Return the names of all classes of the stream, by label."""
    found: dict[int, str] = {}
    for split in splits:
        labels, names = cast(list[int], split["classes"]), cast(list[str], split["class_names"])
        found |= dict(zip(labels, names, strict=True))
    return [found[label] for label in sorted(found)]
