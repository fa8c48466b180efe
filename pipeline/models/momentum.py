"""Momentum networks: copies whose weights are a moving average of a network in training."""

from __future__ import annotations

import copy
import math
from typing import TypeVar

import torch
from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)


def momentum_copy(module: Module) -> Module:
    """Return a copy of ``module`` without gradients."""
    return copy.deepcopy(module).requires_grad_(False)


@torch.no_grad()
def update_momentum(slow: nn.Module, fast: nn.Module, momentum: float) -> None:
    """Move ``slow``'s parameters towards ``fast``'s: ξ ← m ξ + (1 - m) θ (BYOL, equation 1).

    BatchNorm statistics stay: the slow network has its own.
    """
    past: list[Tensor] = list(slow.parameters())
    present: list[Tensor] = list(fast.parameters())
    torch._foreach_lerp_(past, present, 1 - momentum)  # a GPU takes one launch for all


def cosine_momentum(start: float, end: float, progress: float) -> float:
    """Return the coefficient m, which goes from ``start`` to ``end`` along half a cosine.

    Args:
        start: m when a task begins.
        end: m when it ends.
        progress: the share of the task's steps that are done, in [0, 1].
    """
    return end - (end - start) * (math.cos(math.pi * progress) + 1) / 2
