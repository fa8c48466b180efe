"""The learning rate over a task, and which parameters the optimiser moves how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from pipeline.training.lars import LARS

MOMENTUM = 0.9  # of sgd and lars


@dataclass(frozen=True)
class LarsOptions:
    """What only LARS takes; see ``pipeline.training.lars.LARS``."""

    trust_coefficient: float
    clip: bool


@dataclass(frozen=True)
class Optimisation:
    """How the weights move within a task; every task starts the schedule anew.

    Attributes:
        optimizer: ``adamw``, ``sgd`` (momentum 0.9) or ``lars`` (sgd with a rate a layer).
        learning_rate: the peak, reached when the warm-up ends.
        weight_decay: of the weight matrices and kernels.
        exclude_norms_and_biases: whether biases and the parameters of norms have no weight
            decay, and no rate of their own under lars.
        epochs: epochs of the task, the warm-up included.
        warmup_epochs: epochs of linear rise; may be a fraction.
        warmup_start: the learning rate from which the warm-up rises.
        final_learning_rate: the learning rate when the task ends.
        lars: options of lars, where it is the optimiser.
    """

    optimizer: Literal["adamw", "sgd", "lars"]
    learning_rate: float
    weight_decay: float
    exclude_norms_and_biases: bool
    epochs: int
    warmup_epochs: float
    warmup_start: float
    final_learning_rate: float
    lars: LarsOptions | None = None


def build_optimizer(modules: list[nn.Module], optimisation: Optimisation) -> torch.optim.Optimizer:
    """Return the optimiser over the trainable parameters of ``modules``."""
    trainable = [p for module in modules for p in module.parameters() if p.requires_grad]
    rate, decay = optimisation.learning_rate, optimisation.weight_decay
    excluding = optimisation.exclude_norms_and_biases
    excluded = [p for p in trainable if p.ndim <= 1 and excluding]
    included = [p for p in trainable if p.ndim > 1 or not excluding]
    groups: list[dict[str, Any]] = [{"params": included}]
    if excluded:
        groups.append({"params": excluded, "weight_decay": 0.0})
    if optimisation.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=rate, weight_decay=decay, fused=True)
    if optimisation.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=rate, momentum=MOMENTUM, weight_decay=decay, fused=True)
    assert optimisation.lars is not None, "lars without its options"
    if excluded:
        groups[1]["adaptive"] = False
    return LARS(
        groups,
        lr=rate,
        momentum=MOMENTUM,
        weight_decay=decay,
        trust_coefficient=optimisation.lars.trust_coefficient,
        clip=optimisation.lars.clip,
    )
