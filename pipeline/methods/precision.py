"""Losses in float32, independent of the network's precision."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec

import torch
from torch import Tensor

P = ParamSpec("P")


def _widen(value: object) -> object:
    if isinstance(value, Tensor) and value.dtype in (torch.float16, torch.bfloat16):
        return value.float()
    return value


def in_float32(loss: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """Make a loss run outside autocast, on half-precision tensors cast to float32.

    Softmax over thousands of similarities loses its small terms in bfloat16.
    float64 tensors stay float64, so that gradients can be checked.
    """

    @functools.wraps(loss)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Tensor:
        values = [*args, *kwargs.values()]
        device = next((v.device.type for v in values if isinstance(v, Tensor)), "cpu")
        with torch.autocast(device_type=device, enabled=False):
            wide = {name: _widen(value) for name, value in kwargs.items()}
            return loss(*(_widen(value) for value in args), **wide)  # type: ignore[arg-type]

    return wrapped
