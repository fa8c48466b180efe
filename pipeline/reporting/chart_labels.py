"""The positions and lengths of a chart's labels, and the points that need a dot."""

from __future__ import annotations

import math
import textwrap
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


def alone_in_line(values: Sequence[float]) -> list[int]:
    """Return the positions of finite values without a finite neighbour.

    A line that is interrupted on both sides of a point does not show it.
    """
    finite = [False, *(math.isfinite(value) for value in values), False]
    return [
        index
        for index in range(len(values))
        if finite[index + 1] and not (finite[index] or finite[index + 2])
    ]


def shorten_label(text: str, room: int) -> str:
    """Return a label cut to ``room`` characters, with an ellipsis if it is longer."""
    return text if len(text) <= room else f"{text[: room - 1]}…"


def wrap_label(text: str, room: int) -> str:
    """Return a label in lines of ``room`` characters, three of them at most."""
    return "\n".join(textwrap.wrap(text, room, max_lines=3, placeholder="…"))
