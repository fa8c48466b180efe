"""A first-in, first-out queue of past projections."""

from __future__ import annotations

import torch
from torch import Tensor


class HostCount:
    """The value of a counting buffer, read from its device only where others have written it.

    A GPU would have to end all its work before each step could go on.
    """

    def __init__(self) -> None:
        self._buffer: Tensor | None = None
        self._version = 0
        self._value = 0

    def __reduce__(self) -> tuple[type[HostCount], tuple[()]]:
        # A copied buffer counts its writes anew.
        return HostCount, ()

    def read(self, buffer: Tensor) -> int:
        """Return the value of a buffer of no dimensions."""
        if buffer is not self._buffer or buffer._version != self._version:
            self._value = int(buffer)
            self._buffer, self._version = buffer, buffer._version
        return self._value

    def write(self, buffer: Tensor, value: int) -> None:
        """Set a buffer to a value, which is known from here on."""
        buffer.fill_(value)
        self._buffer, self._version, self._value = buffer, buffer._version, value


@torch.no_grad()
def enqueue(queue: Tensor, pointer: int, batch: Tensor) -> int:
    """Write a batch over the oldest entries, in place; return the next pointer.

    The queue's size need not be a multiple of the batch's: writing wraps around. Of a batch
    larger than the queue only the last entries stay.

    Args:
        queue: ``(V, Q, D)``, one row of entries a view.
        pointer: the index of the oldest entry, from 0 to Q - 1.
        batch: ``(V, N, D)``.
    """
    size, count = queue.shape[1], batch.shape[1]
    kept = batch[:, -size:]
    first = (pointer + count - kept.shape[1]) % size
    head = kept[:, : size - first]
    queue[:, first : first + head.shape[1]] = head
    queue[:, : kept.shape[1] - head.shape[1]] = kept[:, head.shape[1] :]
    return (pointer + count) % size
