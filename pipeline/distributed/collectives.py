"""Collectives for losses over the global batch, with gradients through the gather.

The global batch is split by rows: each rank holds as many as the others, in rank order.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed


class _Gather(torch.autograd.Function):
    """Concatenate all ranks' tensors; each rank gets the gradient of its own rows."""

    @staticmethod
    def forward(ctx: Any, local: Tensor) -> Tensor:
        ctx.count = len(local)
        parts = [torch.empty_like(local) for _ in range(distributed.get_world_size())]
        distributed.all_gather(parts, local)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (total,) = (gradient.contiguous().clone() for gradient in gradients)
        distributed.all_reduce(total)
        start = distributed.get_rank() * ctx.count
        return total[start : start + ctx.count]


def gather_rows(local: Tensor) -> Tensor:
    """Return the rows of all ranks in rank order: the global batch.

    Every rank then computes the same loss of the global batch. In the backward pass a rank
    receives the sum over all ranks of the gradients of its own rows. Data-parallel training
    averages the parameters' gradients over the ranks, so the result is the gradient of one
    process that holds the whole batch.

    Args:
        local: this rank's rows, ``(N, ...)``, of the same shape on every rank.

    Returns:
        ``(world size · N, ...)``; ``local`` itself for a single process.
    """
    if world_size() == 1:
        return local
    gathered: Tensor = _Gather.apply(local.contiguous())
    return gathered


def world_size() -> int:
    """Return the number of processes that train together; 1 without a process group."""
    if not distributed.is_available() or not distributed.is_initialized():
        return 1
    return distributed.get_world_size()


def own_rows(whole: Tensor) -> Tensor:
    """Return this rank's rows ``(N, ...)`` of a global tensor ``(world size · N, ...)``."""
    count = world_size()
    return whole if count == 1 else whole.chunk(count)[distributed.get_rank()]


@torch.no_grad()
def mean_over_ranks(local: Tensor) -> Tensor:
    """Return the mean of all ranks' tensors, without gradient; ``local`` for a single process."""
    if world_size() == 1:
        return local
    total = local.detach().clone()
    distributed.all_reduce(total)
    return total / world_size()
