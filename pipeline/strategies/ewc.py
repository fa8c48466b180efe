"""Elastic weight consolidation (Kirkpatrick et al., 2017), without labels."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline.distributed.collectives import mean_over_ranks, own_rows
from pipeline.methods.base import Method
from pipeline.models.loading import require_names
from pipeline.strategies.base import Step, Strategy, TaskStart


def quadratic_penalty(parameters: Sequence[Tensor], anchor: Tensor, fisher: Tensor) -> Tensor:
    """½ Σ_k F_k (θ_k - θ*_k)² (EWC, equation 3, without λ).

    Args:
        parameters: θ, tensors of P numbers in all.
        anchor: θ*, ``(P,)``.
        fisher: F, ``(P,)``.
    """
    return 0.5 * (fisher * (flatten(parameters) - anchor).square()).sum()


def flatten(tensors: Sequence[Tensor]) -> Tensor:
    """Return all tensors' numbers as one vector ``(P,)``."""
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


def trainable(method: Method) -> list[Tensor]:
    """Return the parameters that EWC anchors: all trainable ones."""
    return [parameter for parameter in method.parameters() if parameter.requires_grad]


class EWC(Strategy):
    """L_SSL + λ/2 Σ_k F_k (θ_k - θ*_k)², the Fisher information accumulated over tasks.

    F of a task is the squared gradient of L_SSL, averaged over batches of the task's images
    (L_SSL is a loss of a batch, not of an image), then divided by its mean over all
    parameters, so that a λ means the same for every method and network. Online EWC (Schwarz
    et al., 2018): F ← decay · F + F of the last task, and θ* are the parameters when that
    task ended.

    Args:
        weight: λ.
        fisher_batches: batches, of the task's batch size, that F is estimated on.
        decay: γ, the factor on the earlier tasks' F.
    """

    fisher: Tensor
    anchor: Tensor

    def __init__(self, *, weight: float, fisher_batches: int, decay: float) -> None:
        super().__init__()
        self.weight = weight
        self.fisher_batches = fisher_batches
        self.decay = decay
        self.register_buffer("fisher", torch.zeros(0))
        self.register_buffer("anchor", torch.zeros(0))

    def begin_task(self, start: TaskStart) -> None:
        """Estimate F on the previous task, and store the parameters that it left."""
        anchor = flatten(trainable(start.method)).detach().clone()
        fisher = self._estimate(start)
        if start.carried:
            require_names(start.carried, ("fisher",))
            before = start.carried["fisher"]
            if before.shape != fisher.shape:
                raise ValueError(
                    f"the Fisher information is of {len(before)} parameters, expected {len(fisher)}"
                )
            fisher += self.decay * before
        self.fisher, self.anchor = fisher, anchor

    def _estimate(self, start: TaskStart) -> Tensor:
        """Return F of the previous task, ``(P,)``, of mean 1."""
        # A copy: batches must not move BatchNorm's statistics.
        method = copy.deepcopy(start.method).to(start.device).train()
        parameters = trainable(method)
        images = start.previous_images
        total = torch.zeros(sum(p.numel() for p in parameters), device=start.device)
        for number in range(self.fisher_batches):
            generator = start.generators("fisher", number)
            chosen = torch.randperm(len(images), generator=generator)[: start.batch_size]
            own = images[own_rows(chosen)].to(start.device)
            views = start.augment(own, generator)
            loss = method.loss(views, method.encode(views))
            gradients = torch.autograd.grad(loss, parameters, materialize_grads=True)
            total += mean_over_ranks(flatten(gradients)).square()
        mean = total.mean().clamp(min=torch.finfo(total.dtype).tiny)
        return (total / mean).cpu()

    def terms(self, step: Step) -> dict[str, Tensor]:
        """Return the quadratic penalty."""
        penalty = quadratic_penalty(trainable(step.method), self.anchor, self.fisher)
        return {"ewc": self.weight * penalty}

    def carried(self) -> dict[str, Tensor]:
        """Return the accumulated Fisher information."""
        return {"fisher": self.fisher}
