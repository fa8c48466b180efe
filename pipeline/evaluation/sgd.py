"""A linear classifier trained by SGD, as all linear evaluations here have it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.errors import RunError

MOMENTUM = 0.9
# Features of some batches, one after another, from the places of each batch's images.
ReadFeatures = Callable[[Sequence[Tensor]], Iterable[Tensor]]


@dataclass(frozen=True, kw_only=True)
class SgdSchedule:
    """The published schedule.

    Attributes:
        epochs: passes over the training images.
        batch_size: images a step.
        learning_rate: of SGD with momentum 0.9.
        milestones: epochs after which the learning rate is divided by 10.
        weight_decay: of the weights and biases.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    milestones: Sequence[int]
    weight_decay: float


@torch.no_grad()
def fit_linear_classifier(
    read: ReadFeatures,
    num_features: int,
    labels: Tensor,
    num_classes: int,
    schedule: SgdSchedule,
    generator: torch.Generator,
    *,
    drop_last: bool = False,
) -> nn.Linear:
    """Train a linear classifier by SGD on cross-entropy.

    The gradient is written out, which takes a third of the time of autograd and torch's optimizer.

    Args:
        read: yields the features of an epoch's batches, ``(B, F)`` each.
        num_features: F.
        labels: classes in 0 .. num_classes - 1, ``(N,)``.
        num_classes: the number of outputs, C.
        schedule: how long and how fast.
        generator: draws the order of the images; ``read`` may draw from it, too.
        drop_last: leave out an epoch's last images where they do not fill a batch. Fewer
            images than a batch holds are one batch all the same.

    Returns:
        The classifier, started from zero weights.
    """
    device, milestones = labels.device, sorted(schedule.milestones)
    classifier = nn.Linear(num_features, num_classes, device=device)
    weight, bias = parameters = [tensor.zero_() for tensor in classifier.parameters()]
    velocities = [torch.zeros_like(tensor) for tensor in parameters]
    for epoch in range(schedule.epochs):
        rate = schedule.learning_rate * 0.1 ** bisect_right(milestones, epoch)
        order = torch.randperm(len(labels), generator=generator).to(device)
        batches = torch.split(order, schedule.batch_size)
        if drop_last and len(batches) > 1 and len(batches[-1]) < schedule.batch_size:
            batches = batches[:-1]
        for batch, features in zip(batches, read(batches), strict=True):
            # Outputs are (C, B): a CPU takes a quarter of the time for a softmax over the first
            # dimension.
            outputs = torch.addmm(bias[:, None], weight, features.T)
            errors = outputs.softmax(0) - functional.one_hot(labels[batch], num_classes).T
            errors /= len(batch)
            gradients = errors @ features, errors.sum(1)
            for tensor, velocity, gradient in zip(parameters, velocities, gradients, strict=True):
                velocity.mul_(MOMENTUM).add_(gradient).add_(tensor, alpha=schedule.weight_decay)
                tensor.sub_(velocity, alpha=rate)
    return classifier


def score_linear(classifier: nn.Linear, test: Tensor, param: str, rate: float) -> Tensor:
    """Return the classifier's outputs for test features ``(M, F)``, ``(M, C)``.

    Args:
        classifier: after its training.
        test: the features.
        param: what params.yaml calls its learning rate, for the message.
        rate: the learning rate.

    Raises:
        RunError: the schedule diverged.
    """
    if not classifier.weight.isfinite().all():
        raise RunError(
            f"the linear evaluation gave weights that are not finite; lower {param} ({rate})"
        )
    with torch.no_grad():
        return functional.linear(test, classifier.weight, classifier.bias)
