"""The norms that a backbone of ours can have, named without importing torch."""

from __future__ import annotations

from typing import Literal

Norm = Literal["batch", "group"]

MOST_GROUPS = 32
SMALLEST_GROUP = 2  # channels


def count_groups(width: int) -> int:
    """Return the number of groups in which GroupNorm normalises a layer's channels.

    32, as Wu and He (2018) have it; of layers of fewer than 64 channels as many as leave two
    channels or more a group. Where that does not divide the channels, the next smaller number that
    does.

    Args:
        width: channels of the layer.
    """
    most = max(1, min(MOST_GROUPS, width // SMALLEST_GROUP))
    return next(groups for groups in range(most, 0, -1) if width % groups == 0)
