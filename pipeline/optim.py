"""Optimisers and the learning rate over a task."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn


@dataclass(frozen=True)
class Optimisation:
    """How the weights move within a task; every task starts the schedule anew.

    Attributes:
        optimizer: ``adamw`` or ``sgd`` (with momentum 0.9).
        learning_rate: the peak, reached when the warm-up ends.
        weight_decay: of the weight matrices and kernels; biases and the parameters of
            norms have none.
        warmup_epochs: epochs of linear rise from almost 0; may be a fraction.
        epochs: epochs of the task, the warm-up included.
    """

    optimizer: Literal["adamw", "sgd"]
    learning_rate: float
    weight_decay: float
    warmup_epochs: float
    epochs: int


def warmup_cosine(step: int, warmup_steps: int, total_steps: int) -> float:
    """Return the share of the peak learning rate at a step.

    Rises linearly from 1/warmup_steps to 1 over the warm-up, then falls along half a
    cosine to 0 when the task ends.

    Args:
        step: the step about to be taken, from 0.
        warmup_steps: steps of the warm-up, 0 or more.
        total_steps: steps of the task.
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    progress = (step - warmup_steps) / max(1, total_steps - warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def build_optimizer(modules: list[nn.Module], optimisation: Optimisation) -> torch.optim.Optimizer:
    """Return the optimiser over the trainable parameters of ``modules``."""
    trainable = [p for module in modules for p in module.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in trainable if p.ndim > 1]},
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
    ]
    rate, decay = optimisation.learning_rate, optimisation.weight_decay
    if optimisation.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=rate, weight_decay=decay)
    return torch.optim.SGD(groups, lr=rate, momentum=0.9, weight_decay=decay)
