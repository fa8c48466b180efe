"""LARS (You et al., 2017): momentum SGD with a learning rate for each layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from pipeline.training.optim import MOMENTUM

EPS = 1e-8


class LARS(torch.optim.Optimizer):
    """SGD with momentum whose step is scaled to the size of each parameter.

    For a parameter w with gradient g and weight decay β, the local rate is

        local = η ‖w‖ / (‖g‖ + β ‖w‖ + 1e-8), with clip at most lr: local ← min(local / lr, 1)
        v ← m v + local (g + β w)
        w ← w - lr v

    With ``clip`` the rate lr · local is thus never above lr: LARS then only slows layers
    down whose gradients are large for their weights (as in the reference; without it, this
    is the paper's LARS). Where ‖w‖ or ‖g‖ is 0, local is 1 and there is no weight decay.

    Args:
        params: parameters, or groups of them. A group with ``adaptive: False`` takes plain
            steps of SGD with momentum (its own ``weight_decay`` applies).
        lr: the learning rate.
        weight_decay: β.
        trust_coefficient: η; 0.02 in the reference, 0.001 in the paper.
        clip: see above.
        momentum: m.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        *,
        lr: float,
        weight_decay: float,
        trust_coefficient: float,
        clip: bool,
        momentum: float = MOMENTUM,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "trust_coefficient": trust_coefficient,
            "clip": clip,
            "adaptive": True,
        }
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take one step; ``closure`` computes the loss again, as in torch's optimizers."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                update = self._update(parameter, parameter.grad, group)
                state = self.state[parameter]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = update.clone()
                else:
                    state["momentum_buffer"].mul_(group["momentum"]).add_(update)
                parameter.sub_(group["lr"] * state["momentum_buffer"])
        return loss

    @staticmethod
    def _update(parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> Tensor:
        """Return local (g + β w)."""
        decay = group["weight_decay"]
        decayed = gradient + decay * parameter if decay else gradient
        if not group["adaptive"]:
            return decayed
        weight_norm, gradient_norm = parameter.norm(), gradient.norm()
        scale = gradient_norm + decay * weight_norm + EPS
        local = group["trust_coefficient"] * weight_norm / scale
        if group["clip"]:
            local = (local / max(group["lr"], EPS)).clamp(max=1)
        # No branch on a value: that would make a GPU wait.
        usable = (weight_norm > 0) & (gradient_norm > 0)
        return torch.where(usable, local * decayed, gradient)
