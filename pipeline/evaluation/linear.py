"""Linear evaluation: one linear classifier on frozen features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class LinearEvaluation:
    """The schedule of the classifier's training.

    Attributes:
        epochs: passes over the training features.
        batch_size: features a step.
        learning_rate: of SGD with momentum 0.9.
        milestones: epochs after which the learning rate is divided by 10.
        weight_decay: of the weights and biases.
        standardize: whether each feature is first brought to mean 0 and standard deviation
            1 over the training images, so that one learning rate fits every backbone.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    milestones: Sequence[int]
    weight_decay: float
    standardize: bool


def train_classifier(
    features: Tensor,
    labels: Tensor,
    num_classes: int,
    schedule: LinearEvaluation,
    generator: torch.Generator,
) -> nn.Linear:
    """Train a linear classifier by SGD on cross-entropy.

    Args:
        features: ``(N, F)``, already standardised if wanted.
        labels: classes in 0 .. num_classes - 1, ``(N,)``.
        num_classes: the number of outputs.
        schedule: how to train.
        generator: draws the order of the images.

    Returns:
        The classifier, started from zero weights.
    """
    classifier = nn.Linear(features.shape[1], num_classes, device=features.device)
    nn.init.zeros_(classifier.weight)
    nn.init.zeros_(classifier.bias)
    optimizer = torch.optim.SGD(
        classifier.parameters(),
        lr=schedule.learning_rate,
        momentum=0.9,
        weight_decay=schedule.weight_decay,
    )
    decay = torch.optim.lr_scheduler.MultiStepLR(optimizer, list(schedule.milestones))
    for _ in range(schedule.epochs):
        order = torch.randperm(len(features), generator=generator).to(features.device)
        for batch in torch.split(order, schedule.batch_size):
            optimizer.zero_grad()
            loss = functional.cross_entropy(classifier(features[batch]), labels[batch])
            torch.autograd.backward(loss)
            optimizer.step()
        decay.step()
    return classifier


def standardization(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each feature, ``(F,)`` each.

    A constant feature gets standard deviation 1: it stays, at zero.
    """
    std = features.std(dim=0, correction=0)
    # Not std == 0: the mean of equal values need not be that value to the last digit.
    constant = features.amax(dim=0) == features.amin(dim=0)
    return features.mean(dim=0), torch.where(constant, torch.ones_like(std), std)


def accuracy(classifier: nn.Module, features: Tensor, labels: Tensor) -> float:
    """Return the share of correct predictions in percent, without masking classes."""
    with torch.no_grad():
        predicted = classifier(features).argmax(dim=1)
    return 100.0 * int((predicted == labels).sum()) / len(labels)
