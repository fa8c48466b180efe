"""Linear evaluation: one linear classifier on frozen features, trained by SGD."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.errors import RunError
from pipeline.evaluation.base import Probe
from pipeline.evaluation.standardization import standardized


@dataclass(frozen=True, kw_only=True)
class Linear(Probe):
    """The published protocol: SGD on a fixed schedule.

    Attributes:
        epochs: passes over the training features.
        batch_size: features a step.
        learning_rate: of SGD with momentum 0.9.
        milestones: epochs after which the learning rate is divided by 10.
        weight_decay: of the weights and biases.
        standardize: whether each feature is first brought to mean 0 and standard deviation
            1 over the training images, so that one learning rate fits every backbone.
    """

    stream = "linear evaluation"

    epochs: int
    batch_size: int
    learning_rate: float
    milestones: Sequence[int]
    weight_decay: float
    standardize: bool

    def scores(
        self,
        train: Tensor,
        labels: Tensor,
        test: Tensor,
        num_classes: int,
        generator: torch.Generator,
    ) -> Tensor:
        """Return the classifier's outputs.

        Raises:
            RunError: the schedule diverged.
        """
        if self.standardize:
            train, test = standardized(train, test)
        classifier = train_classifier(train, labels, num_classes, self, generator)
        if not classifier.weight.isfinite().all():
            raise RunError(
                "the linear evaluation gave weights that are not finite; lower "
                f"linear_eval.learning_rate ({self.learning_rate})"
            )
        with torch.no_grad():
            return functional.linear(test, classifier.weight, classifier.bias)


def train_classifier(
    features: Tensor,
    labels: Tensor,
    num_classes: int,
    schedule: Linear,
    generator: torch.Generator,
) -> nn.Linear:
    """Train a linear classifier by SGD on cross-entropy.

    Args:
        features: ``(N, F)``, already standardised if wanted.
        labels: classes in 0 .. num_classes - 1, ``(N,)``.
        num_classes: the number of outputs.
        schedule: the probe, for its options.
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
