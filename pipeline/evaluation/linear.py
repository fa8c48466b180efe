"""Linear evaluation: one linear classifier on frozen features, trained by SGD."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pipeline.evaluation.base import FeatureProbe
from pipeline.evaluation.sgd import SgdSchedule, fit_linear_classifier, score_linear
from pipeline.evaluation.standardization import standardized


@dataclass(frozen=True, kw_only=True)
class Linear(SgdSchedule, FeatureProbe):
    """SGD on the published schedule, on features that are extracted once.

    Differs from the reference: no crops and flips; ``linear_augmented`` has them.

    Attributes:
        standardize: whether each feature is first brought to mean 0 and standard deviation
            1 over the training images, so that one learning rate fits every backbone.
    """

    stream = "linear evaluation"

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
        return score_linear(classifier, test, "linear_eval.learning_rate", self.learning_rate)


def train_classifier(
    features: Tensor,
    labels: Tensor,
    num_classes: int,
    schedule: SgdSchedule,
    generator: torch.Generator,
) -> nn.Linear:
    """Train a linear classifier on features, already standardised if wanted, ``(N, F)``.

    The other arguments are those of ``fit_linear_classifier``.
    """
    return fit_linear_classifier(
        lambda batches: (features[batch] for batch in batches),
        features.shape[1],
        labels,
        num_classes,
        schedule,
        generator,
    )
