"""The positions and lengths of a chart's labels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise


def spread_labels(values: Sequence[float], gap: float) -> list[float]:
    """Return heights of labels at ``values``, moved up so that none overlap.

    Args:
        values: the wanted heights.
        gap: the smallest distance between two labels.
    """
    heights = list(values)
    order = sorted(range(len(heights)), key=heights.__getitem__)
    for below, above in pairwise(order):
        heights[above] = max(heights[above], heights[below] + gap)
    return heights


def shorten_label(text: str, room: int) -> str:
    """Return a label cut to ``room`` characters, with an ellipsis if it is longer."""
    return text if len(text) <= room else f"{text[: room - 1]}…"
