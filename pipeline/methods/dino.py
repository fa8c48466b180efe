"""DINO (Caron et al., 2021): predict the momentum network's assignment of the other view."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.distributed.collectives import mean_over_ranks
from pipeline.methods.base import Encoded, Position, Views
from pipeline.methods.momentum import MomentumMethod
from pipeline.methods.precision import in_float32
from pipeline.methods.prototypes import PrototypeMethod, Prototypes, soft_cross_entropy
from pipeline.models.backbone import Backbone
from pipeline.models.momentum import momentum_copy

INITIAL_STD = 0.02  # of the head's weights
START_LENGTH = 1.0  # of the prototypes, where they are trained


@in_float32
def sharpen(scores: Tensor, center: Tensor, temperature: Tensor) -> Tensor:
    """The teacher's assignments softmax((t - c) / τ_t) (DINO, equation 1 and section 3.1).

    Centring alone leads to the uniform assignment, a low temperature alone to one prototype
    for all images; together they hold each other up.

    Args:
        scores: t, ``(N, K)``, the momentum network's.
        center: c, ``(K,)``.
        temperature: τ_t > 0, a scalar.

    Returns:
        ``(N, K)``; each row sums to 1.
    """
    return functional.softmax((scores - center) / temperature, dim=1)


@in_float32
def dino_loss(
    scores: tuple[Tensor, ...], targets: tuple[Tensor, ...], temperature: float
) -> Tensor:
    """Mean cross-entropy of each view's scores with the target of each other view (equation 3).

    Args:
        scores: of the network in training, ``(N, K)`` a view.
        targets: of the momentum network, ``(N, K)`` a view, rows sum to 1, without gradient.
        temperature: τ_s > 0.
    """
    terms = [
        soft_cross_entropy(own, target, temperature)
        for place, target in enumerate(targets)
        for view, own in enumerate(scores)
        if view != place
    ]
    return torch.stack(terms).mean()


def schedule_temperature(epoch: int, start: float, end: float, warmup_epochs: int) -> float:
    """The temperature τ_t of an epoch: linear from ``start``, ``end`` from its last one on.

    Args:
        epoch: of the task, from 0.
        start: of the first epoch.
        end: of the last epoch of the warm-up, and of all after it.
        warmup_epochs: epochs of the warm-up; 0: none.
    """
    if epoch >= warmup_epochs:
        return end
    return start + (end - start) * epoch / max(1, warmup_epochs - 1)


def build_head(widths: Sequence[int], *, batch_norm: bool) -> nn.Sequential:
    """Linear layers through ``widths`` with GELU (and BatchNorm) between them (appendix C).

    Args:
        widths: sizes from the features to the bottleneck, at least two.
        batch_norm: whether each hidden layer has BatchNorm before its GELU.
    """
    layers: list[nn.Module] = []
    for width_in, width_out in pairwise(widths):
        layers += [nn.Linear(width_in, width_out)]
        layers += [nn.BatchNorm1d(width_out)] if batch_norm else []
        layers += [nn.GELU()]
    head = nn.Sequential(*layers[: -2 if batch_norm else -1])  # the bottleneck is linear
    for layer in head:
        if isinstance(layer, nn.Linear):
            nn.init.trunc_normal_(layer.weight, std=INITIAL_STD)
            nn.init.zeros_(layer.bias)
    return head


class DINO(PrototypeMethod, MomentumMethod):
    """DINO: an MLP to a bottleneck of unit length, prototypes, and a momentum network of both.

    z is the bottleneck before it is scaled to length 1. The distillation is that of all methods
    with prototypes. The frozen network is the one that was trained, as of
    every method, not the momentum network; so there is neither centring nor sharpening in it.

    Momentum network and centre cross task boundaries; the temperature starts anew with each
    task, and the prototypes are frozen again for its first epochs.

    Differs from the reference: the momentum coefficient counts this step as done; two views,
    as of all methods here, and no small crops; the prototypes are normalised rows, where a layer
    under weight normalisation keeps their length apart, which is the same function.

    Args:
        backbone: the network to train.
        temperature: τ_s of the network in training.
        teacher_temperature: τ_t of the momentum network after its warm-up.
        warmup_teacher_temperature: τ_t in the first epoch of a task.
        warmup_teacher_temperature_epochs: epochs in which it rises.
        distill_temperature: τ of the distillation.
        projector: sizes of the head's hidden layers and bottleneck.
        projector_batch_norm: whether the head's hidden layers have BatchNorm; the paper has
            none with a ViT, the reference always.
        num_prototypes: K.
        train_prototype_lengths: whether the lengths of the prototypes are trained, from 1 on;
            those of the distillation too.
        center_momentum: m of c ← m c + (1 - m) t̄, t̄ the mean over a step's global batch.
        freeze_prototypes_epochs: epochs at the beginning of each task in which the
            prototypes stay as they are.
        momentum: the momentum coefficient when a task begins.
        final_momentum: the coefficient when it ends.
    """

    loss_only: ClassVar[tuple[str, ...]] = (
        *MomentumMethod.loss_only,
        "momentum_prototypes",
        "center",
        "sharpness",
    )

    def __init__(
        self,
        backbone: Backbone,
        *,
        temperature: float,
        teacher_temperature: float,
        warmup_teacher_temperature: float,
        warmup_teacher_temperature_epochs: int,
        distill_temperature: float,
        projector: Sequence[int],
        projector_batch_norm: bool,
        num_prototypes: int,
        train_prototype_lengths: bool,
        center_momentum: float,
        freeze_prototypes_epochs: int,
        momentum: float,
        final_momentum: float,
    ) -> None:
        head = build_head([backbone.num_features, *projector], batch_norm=projector_batch_norm)
        super().__init__(backbone, head, projector[-1], momentum, final_momentum)
        self.prototypes = Prototypes(
            projector[-1], num_prototypes, train_prototype_lengths, START_LENGTH
        )
        self.momentum_prototypes = momentum_copy(self.prototypes)
        self.temperature = temperature
        self.teacher_temperature = teacher_temperature
        self.warmup_teacher_temperature = warmup_teacher_temperature
        self.warmup_teacher_temperature_epochs = warmup_teacher_temperature_epochs
        self.distill_temperature = distill_temperature
        self.center_momentum = center_momentum
        self.freeze_prototypes_epochs = freeze_prototypes_epochs
        self.center: Tensor
        self.register_buffer("center", torch.zeros(num_prototypes))
        # Not persistent: a task begins with its warm-up.
        self.sharpness: Tensor
        self.register_buffer("sharpness", self._temperature_of(0), persistent=False)
        self._latest: list[Tensor] = []

    def loss(self, views: Views, encoded: Encoded) -> Tensor:
        """Cross-entropy with the momentum network's assignments of the other view."""
        own = self.prototypes(torch.cat(encoded.projections)).chunk(len(views))
        scores = [self.momentum_prototypes(z) for z in self.momentum_projections(views)]
        self._latest.append(torch.cat(scores).detach().mean(dim=0))
        targets = tuple(sharpen(each, self.center, self.sharpness).detach() for each in scores)
        return dino_loss(own, targets, self.temperature)

    def list_copies(self) -> list[tuple[nn.Module, nn.Module]]:
        """Return those of the momentum network, its prototypes among them."""
        return [*super().list_copies(), (self.momentum_prototypes, self.prototypes)]

    @torch.no_grad()
    def after_step(self, at: Position) -> None:
        """Update the momentum network, the centre and the temperature."""
        super().after_step(at)
        if self._latest:
            mean = mean_over_ranks(torch.stack(self._latest).mean(dim=0))
            self.center.lerp_(mean, 1 - self.center_momentum)
        self._latest = []
        self.sharpness.copy_(self._temperature_of(at.epoch))

    def _temperature_of(self, epoch: int) -> Tensor:
        return torch.tensor(
            schedule_temperature(
                epoch,
                self.warmup_teacher_temperature,
                self.teacher_temperature,
                self.warmup_teacher_temperature_epochs,
            )
        )
