"""Prototypes: directions to which projections are assigned, and the losses between assignments."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.methods.base import Method, Position
from pipeline.methods.precision import in_float32


@in_float32
def prototype_scores(z: Tensor, prototypes: Tensor) -> Tensor:
    """Cosine similarity of each vector and each prototype.

    Args:
        z: ``(N, D)``.
        prototypes: ``(K, D)``.

    Returns:
        ``(N, K)``, from -1 to 1.
    """
    return functional.normalize(z, dim=1) @ functional.normalize(prototypes, dim=1).T


@in_float32
def soft_cross_entropy(scores: Tensor, target: Tensor, temperature: float) -> Tensor:
    """Mean over the vectors of -Σ_k target_k log softmax(scores / τ)_k.

    Args:
        scores: ``(N, K)``.
        target: ``(N, K)``, rows sum to 1.
        temperature: τ > 0.
    """
    return -(target * functional.log_softmax(scores / temperature, dim=1)).sum(dim=1).mean()


class Prototypes(nn.Module):
    """K directions, with or without lengths that train; the forward pass gives the scores.

    Args:
        size: D, the size of a prototype.
        count: K.
        train_lengths: whether each prototype has a length that is trained, ``(K, 1)``: a linear
            layer under weight normalisation, as in the CaSSLe paper's code; of two dimensions,
            so optimizers treat it as weights, as there. False: all lengths are 1, as in SwAV's
            own code.
        start_length: the lengths at first; None: those of the initial weights (about 0.58).
    """

    def __init__(
        self, size: int, count: int, train_lengths: bool, start_length: float | None = None
    ) -> None:
        super().__init__()
        self.start_length = start_length
        self.weight = nn.Linear(size, count, bias=False).weight
        self.lengths: nn.Parameter | None = None
        if train_lengths:
            lengths = self.weight.detach().norm(dim=1, keepdim=True)
            if start_length is not None:
                lengths = torch.full_like(lengths, start_length)
            self.lengths = nn.Parameter(lengths)

    def build_new(self) -> Prototypes:
        """Return as many new prototypes, with lengths that train if these have such."""
        count, size = self.weight.shape
        return Prototypes(size, count, self.lengths is not None, self.start_length)

    def forward(self, z: Tensor) -> Tensor:
        """Return the scores ``(N, K)`` of ``z`` ``(N, D)``: cosines, times the lengths."""
        scores = prototype_scores(z, self.weight)
        return scores if self.lengths is None else scores * self.lengths.T


class PrototypeMethod(Method):
    """A method with prototypes, which stay as they are in the first epochs of each task.

    The distillation is the cross-entropy between the frozen network's own assignment of z̄ and that
    of g(z) to new prototypes. A subclass sets the attributes.

    Attributes:
        prototypes: of the objective.
        distill_temperature: τ of the distillation.
        freeze_prototypes_epochs: the number of those epochs.
    """

    prototypes: Prototypes
    distill_temperature: float
    freeze_prototypes_epochs: int

    def distill_head(self) -> nn.Module:
        """Return new prototypes, which belong to the distillation."""
        return self.prototypes.build_new()

    def distill_target(self, projections: Tensor) -> Tensor:
        """Return the scores of z̄ with the frozen prototypes."""
        scores: Tensor = self.prototypes(projections)
        return scores

    def compare(self, predicted: Tensor, past: Tensor) -> Tensor:
        """Cross-entropy between the past's assignment and the predicted one, both softmax.

        Args:
            predicted: scores of g(z) with the distillation's prototypes, ``(N, K)``.
            past: scores of z̄ with the frozen prototypes, ``(N, K)``.
        """
        target = functional.softmax(past / self.distill_temperature, dim=1)
        return soft_cross_entropy(predicted, target, self.distill_temperature)

    def after_backward(self, at: Position) -> None:
        """Keep the prototypes as they are while they are frozen."""
        if at.epoch < self.freeze_prototypes_epochs:
            for parameter in self.prototypes.parameters():
                parameter.grad = None
