"""BatchNorm with statistics over the global batch of all ranks.

torch's own SyncBatchNorm runs on GPUs only. It also normalises a frozen network, which is in
eval mode, by each rank's batch alone, and its function has the CPU wait for the GPU in each layer.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm


class _Normalize(torch.autograd.Function):
    """(x - mean) / sqrt(var + ε) · weight + bias, mean and var over the global batch.

    Also returns mean and var, without gradient. All ranks' batches have the same size.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        dims = _all_but_channels(x)
        own = torch.stack(torch.var_mean(_wide(x), dims, correction=0))
        parts = [torch.empty_like(own) for _ in range(distributed.get_world_size())]
        distributed.all_gather(parts, own)
        variances, means = torch.stack(parts).unbind(1)
        mean = means.mean(dim=0)
        # Not E[x²] - mean²: that cancels where the mean is large.
        variance = (variances + (means - mean).square()).mean(dim=0)
        y = functional.batch_norm(x, mean, variance, weight, bias, False, 0.0, eps)
        ctx.save_for_backward(x, weight, mean, (variance + eps).rsqrt())
        ctx.mark_non_differentiable(mean, variance)
        return y, mean, variance

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None, None]:
        x, weight, mean, inverse_std = ctx.saved_tensors
        dims, gradient = _all_but_channels(x), _wide(gradients[0])
        normal = (_wide(x) - _along(mean, x)) * _along(inverse_std, x)
        own = torch.stack([gradient.sum(dims), (gradient * normal).sum(dims)])
        total = own.clone()
        distributed.all_reduce(total)
        count = distributed.get_world_size() * x.numel() // x.shape[1]
        mean_gradient, mean_product = total / count
        scale = inverse_std if weight is None else inverse_std * weight
        change = gradient - _along(mean_gradient, x) - normal * _along(mean_product, x)
        needs = ctx.needs_input_grad
        return (
            (change * _along(scale, x)).to(x.dtype),
            own[1] if needs[1] else None,
            own[0] if needs[2] else None,
            None,
        )


def _wide(x: Tensor) -> Tensor:
    """Return ``x`` in float32; float64 stays."""
    return x if x.dtype == torch.float64 else x.float()


def _all_but_channels(x: Tensor) -> list[int]:
    return [dim for dim in range(x.ndim) if dim != 1]


def _along(values: Tensor, x: Tensor) -> Tensor:
    """Return per-channel values reshaped to broadcast over ``x``."""
    return values.reshape(1, -1, *[1] * (x.ndim - 2))


class SyncBatchNorm(_BatchNorm):
    """BatchNorm over all ranks wherever a layer would use its own batch's statistics.

    Layers inside it run after it: timm's BatchNorm holds its activation.
    """

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002
        if input.ndim < 2:
            raise ValueError(f"expected a batch of channels, got {input.ndim} dimensions")

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """Normalise ``(N, C)`` or ``(N, C, ...)``, of the same shape on every rank."""
        normal = self._normalize(input)
        for layer in self.children():
            normal = layer(normal)
        return normal

    def _normalize(self, input: Tensor) -> Tensor:  # noqa: A002
        if not self.training and self.running_mean is not None:
            return super().forward(input)
        y, mean, variance = _Normalize.apply(input, self.weight, self.bias, self.eps)
        if self.training and self.running_mean is not None and self.running_var is not None:
            assert self.num_batches_tracked is not None, "statistics without their count"
            assert self.momentum is not None, "a layer that averages over all batches"
            count = distributed.get_world_size() * input.numel() // input.shape[1]
            self.num_batches_tracked.add_(1)
            with torch.no_grad():
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(variance * (count / max(1, count - 1)), self.momentum)
        normal: Tensor = y
        return normal


def synchronize_batchnorm(module: nn.Module) -> None:
    """Replace all BatchNorm layers inside a module by ``SyncBatchNorm``, in place.

    Parameters, buffers, names and modes stay the same.
    """
    for name, child in list(module.named_children()):
        if isinstance(child, _BatchNorm):
            setattr(module, name, _synchronized(child))
        else:
            synchronize_batchnorm(child)


def _synchronized(layer: _BatchNorm) -> SyncBatchNorm:
    new = SyncBatchNorm(
        layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats
    )
    new.weight, new.bias = layer.weight, layer.bias
    new.running_mean, new.running_var = layer.running_mean, layer.running_var
    new.num_batches_tracked = layer.num_batches_tracked
    for name, child in layer.named_children():
        new.add_module(name, child)
    return new.train(layer.training)


@torch.no_grad()
def average_statistics(module: nn.Module) -> None:
    """Average the running statistics of unsynchronized BatchNorm layers over all ranks."""
    held = [
        statistics
        for layer in module.modules()
        if isinstance(layer, _BatchNorm) and layer.training and not isinstance(layer, SyncBatchNorm)
        for statistics in (layer.running_mean, layer.running_var)
        if statistics is not None
    ]
    if held:
        total = torch.cat(held)
        distributed.all_reduce(total)
        total /= distributed.get_world_size()
        means = torch.split(total, [len(statistics) for statistics in held])
        for statistics, mean in zip(held, means, strict=True):
            statistics.copy_(mean)
