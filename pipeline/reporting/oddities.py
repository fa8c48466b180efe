"""What is odd about the images of a stream, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.artifacts.split import Split
from pipeline.data.parts import PARTS

MANY_PLAIN = 0.01  # share of images of a single color from which on it is said


def describe_oddities(splits: Sequence[Split]) -> Iterator[str]:
    """Yield a line on images of a single color, if there are many, and one on repeated images."""
    total = sum(len(split.keys(part)) for split in splits for part in PARTS)
    plain = sum(sum((split.plain or {}).values()) for split in splits)
    if plain > max(1, MANY_PLAIN * total):
        yield (
            f"{plain} of {total} images are of a single color: do they load as they should? (look "
            "at data/views.png; transparent images show data.background)"
        )
    repeats = [split.repeats for split in splits if split.repeats is not None]
    if repeats:
        count = sum(each.train + each.test for each in repeats)
        leaked = sum(each.leaked for each in repeats)
        if repeats[0].dropped:
            yield f"{count} images have the bytes of an earlier one and are left out"
        else:
            yield (
                f"{count} images have the bytes of an earlier one (data.duplicates: drop leaves "
                f"them out); {leaked} test images are training images too"
                + (" (data.holdout_by: content keeps them on one side)" if leaked else "")
            )
