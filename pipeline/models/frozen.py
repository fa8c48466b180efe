"""Frozen copies of a network, which no training step changes."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Literal, TypeVar

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from pipeline.models.backbone import Backbone

TeacherBatchNorm = Literal["batch", "running"]
Module = TypeVar("Module", bound=nn.Module)


def frozen_copy(
    module: Module, batch_norm: TeacherBatchNorm, without: Collection[str] = ()
) -> Module:
    """Return a copy of ``module`` that no training step can change.

    Args:
        module: the network as the previous task left it.
        batch_norm: ``batch``: BatchNorm layers normalise with the statistics of the
            batch at hand, as the reference code does (there by leaving the network in
            train mode); ``running``: with the statistics stored when the task ended.
            Neither updates the stored statistics. Layers that training itself freezes use
            those stored, as they do in the network.
        without: names of its submodules and buffers that are not copied, but None there.
    """
    kept = copy.copy(module)
    kept._modules = {name: None if name in without else m for name, m in module._modules.items()}
    kept._buffers = {name: None if name in without else b for name, b in module._buffers.items()}
    frozen = copy.deepcopy(kept).eval().requires_grad_(False)
    if batch_norm == "batch":
        as_stored = {
            id(part.get_submodule(name))
            for part in frozen.modules()
            if isinstance(part, Backbone)
            for name in part.frozen
        }
        for layer in frozen.modules():
            if isinstance(layer, _BatchNorm) and id(layer) not in as_stored:
                # Without stored statistics a layer in eval mode uses the batch's own.
                layer.running_mean = None
                layer.running_var = None
    return frozen


@contextmanager
def running_statistics(module: nn.Module) -> Iterator[None]:
    """Put BatchNorm layers in eval mode inside: they use their running statistics unchanged."""
    layers = [layer for layer in module.modules() if isinstance(layer, _BatchNorm)]
    with _keeping_modes(layers):
        for layer in layers:
            layer.eval()
        yield


@contextmanager
def evaluation_mode(module: nn.Module) -> Iterator[None]:
    """Put a module in eval mode inside; afterwards each of its layers is in the mode it was in."""
    with _keeping_modes(module.modules()):
        module.eval()
        yield


@contextmanager
def _keeping_modes(layers: Iterable[nn.Module]) -> Iterator[None]:
    """Afterwards put each layer, alone, in the mode it is in now."""
    modes = [(layer, layer.training) for layer in layers]
    try:
        yield
    finally:
        for layer, mode in modes:
            layer.training = mode
