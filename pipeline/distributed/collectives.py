"""Losses over the batches of all processes, with gradients through the gather.

A process holds its rows of each global batch: as many as the others, in the order of the ranks.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed


class _Gather(torch.autograd.Function):
    """All processes' tensors, one after another; the gradient goes back to each owner."""

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
    """Return the tensors of all processes in the order of their ranks.

    Every process then computes the same loss of the global batch. In the backward pass a
    process receives the sum over the processes of the gradients of its own rows: with the
    mean over the processes that data-parallel training takes of the parameters' gradients,
    this is the gradient of one process that holds the whole batch.

    Args:
        local: ``(N, ...)``, of the same shape on every process.

    Returns:
        ``(processes · N, ...)``; ``local`` itself where there is one process.
    """
    if world_size() == 1:
        return local
    gathered: Tensor = _Gather.apply(local.contiguous())
    return gathered


def world_size() -> int:
    """Return how many processes train together."""
    if not distributed.is_available() or not distributed.is_initialized():
        return 1
    return distributed.get_world_size()


def own_rows(whole: Tensor) -> Tensor:
    """Return this process's rows of what all processes hold alike, ``(processes · N, ...)``."""
    count = world_size()
    return whole if count == 1 else whole.chunk(count)[distributed.get_rank()]


@torch.no_grad()
def mean_over_ranks(local: Tensor) -> Tensor:
    """Return the mean of the processes' tensors, without gradient; ``local`` where one is alone."""
    if world_size() == 1:
        return local
    total = local.detach().clone()
    distributed.all_reduce(total)
    return total / world_size()
