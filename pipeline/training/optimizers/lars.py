"""LARS (You et al., 2017): momentum SGD with a learning rate for each layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

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
            steps of SGD with momentum (its own ``weight_decay`` applies). A group whose ``lr`` is
            some factor of the others' names it as ``rate_factor``: the clip does not see it, so
            its steps are that factor of what they were.
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
            "rate_factor": 1.0,
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
            parameters = [each for each in group["params"] if each.grad is not None]
            if not parameters:
                continue
            gradients = cast(list[Tensor], [each.grad for each in parameters])
            updates = self._updates(parameters, gradients, group)
            for parameter, update in zip(parameters, updates, strict=True):
                if "momentum_buffer" not in self.state[parameter]:
                    self.state[parameter]["momentum_buffer"] = torch.zeros_like(update)
            buffers = [self.state[each]["momentum_buffer"] for each in parameters]
            torch._foreach_mul_(buffers, group["momentum"])
            torch._foreach_add_(buffers, updates)
            torch._foreach_sub_(parameters, torch._foreach_mul(buffers, group["lr"]))
        return loss

    @staticmethod
    def _updates(
        parameters: list[Tensor], gradients: list[Tensor], group: dict[str, Any]
    ) -> list[Tensor]:
        """Return local (g + β w) of each parameter of a group."""
        decay = group["weight_decay"]
        if not group["adaptive"]:
            if not decay:
                return gradients
            return list(torch._foreach_add(gradients, torch._foreach_mul(parameters, decay)))
        weight_norm = torch.stack(torch._foreach_norm(parameters))
        gradient_norm = torch.stack(torch._foreach_norm(gradients))
        scale = gradient_norm + decay * weight_norm + EPS
        local = group["trust_coefficient"] * weight_norm / scale
        if group["clip"]:
            whole_rate = group["lr"] / group["rate_factor"]
            local = (local / max(whole_rate, EPS)).clamp(max=1)
        # No branch on a value: that would make a GPU wait.
        usable = (weight_norm > 0) & (gradient_norm > 0)
        decays, rates = usable * decay, torch.where(usable, local, 1)
        decayed = torch._foreach_mul(parameters, decays.unbind())
        torch._foreach_add_(decayed, gradients)
        torch._foreach_mul_(decayed, rates.unbind())
        return list(decayed)
