"""Offline training, the upper bound: all tasks as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pipeline.strategies.base import Strategy


class Offline(Strategy):
    """L_SSL on the images of all tasks at once.

    Args:
        match: ``epochs``: the epochs of one task of the stream; ``steps``: the number of epochs
            whose steps are nearest to those of the whole stream.
    """

    def __init__(self, *, match: Literal["epochs", "steps"]) -> None:
        super().__init__()
        self.match = match

    def phases(self, counts: Sequence[int], batch_size: int, epochs: int) -> Sequence[int]:
        """Return the number of epochs to train, by ``match``."""
        if self.match == "epochs":
            return (epochs,)
        stream = epochs * sum(count // batch_size for count in counts)
        return (max(1, round(stream / (sum(counts) // batch_size))),)
