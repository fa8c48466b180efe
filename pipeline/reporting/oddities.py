"""What is odd about the images of a stream, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.artifacts.split import Split, shared_test
from pipeline.data.parts import PARTS, Part

MANY_PLAIN = 0.01  # share of images of a single color from which on it is said


def list_counted(splits: Sequence[Split], part: Part) -> Sequence[Split]:
    """Return the splits whose images of a part count: one where all tasks share them."""
    return splits[-1:] if part == "test" and shared_test(splits) else splits


def describe_oddities(splits: Sequence[Split]) -> Iterator[str]:
    """Yield a line on images of a single color, if there are many, and one on repeated images."""
    counted = {part: list_counted(splits, part) for part in PARTS}
    total = sum(len(split.keys(part)) for part in PARTS for split in counted[part])
    plain = sum((split.plain or {}).get(part, 0) for part in PARTS for split in counted[part])
    if plain > max(1, MANY_PLAIN * total):
        yield (
            f"{plain} of {total} images are of a single color: do they load as they should? (look "
            "at data/views.png; transparent images show data.background)"
        )
    repeats = [split.repeats for split in splits if split.repeats is not None]
    if repeats:
        count = sum(each.train for each in repeats)
        count += sum(split.repeats.test for split in counted["test"] if split.repeats is not None)
        leaked = sum(each.leaked for each in repeats)
        if repeats[0].dropped:
            yield f"{count} images have the bytes of an earlier one and are left out"
        else:
            yield (
                f"{count} images have the bytes of an earlier one (data.duplicates: drop leaves "
                f"them out); {leaked} test images are training images too"
                + (" (data.holdout_by: content keeps them on one side)" if leaked else "")
            )
