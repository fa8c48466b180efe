"""A first-in, first-out queue of past projections."""

from __future__ import annotations

import torch
from torch import Tensor


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
