"""Losses in float32, independent of the network's precision."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import ParamSpec

import torch
from torch import Tensor

P = ParamSpec("P")


def _widen(value: object) -> object:
    if isinstance(value, tuple):
        return tuple(map(_widen, value))
    if isinstance(value, Tensor) and value.dtype in (torch.float16, torch.bfloat16):
        return value.float()
    return value


def _find_device(values: Iterable[object]) -> str | None:
    """The kind of device that the first tensor is on, also one in a tuple; None without one."""
    for value in values:
        if isinstance(value, Tensor):
            return value.device.type
        if isinstance(value, tuple) and (found := _find_device(value)) is not None:
            return found
    return None


def in_float32(loss: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """Make a loss run outside autocast, on half-precision tensors cast to float32.

    Tuples of tensors are cast too. Softmax over thousands of similarities loses its small terms in
    bfloat16. float64 tensors stay float64, so that gradients can be checked.
    """

    @functools.wraps(loss)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Tensor:
        device = _find_device([*args, *kwargs.values()]) or "cpu"
        with torch.autocast(device_type=device, enabled=False):
            wide = {name: _widen(value) for name, value in kwargs.items()}
            return loss(*(_widen(value) for value in args), **wide)  # type: ignore[arg-type]

    return wrapped
