"""The few-labels probe: a classifier for features of which few have a label."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.evaluation.base import FeatureProbe
from pipeline.evaluation.solver import fit
from pipeline.evaluation.standardization import standardized
from pipeline.runtime.device import to_float64


class FewLabels(FeatureProbe):
    """The converged classifier on a few images of each class, the same for every state.

    All training images, which need no label for it, give the scale of the features.

    Args:
        labels: how many, see ``draw_labelled``.
        l2: the penalty, see ``pipeline.evaluation.solver.fit``.
    """

    stream = "few labels"

    def __init__(self, *, labels: float, l2: float) -> None:
        self.labels = labels
        self.l2 = l2

    def scores(
        self,
        train: Tensor,
        labels: Tensor,
        test: Tensor,
        num_classes: int,
        generator: torch.Generator,
    ) -> Tensor:
        """Return the logits.

        Raises:
            RunError: the solver did not converge.
        """
        train, test = standardized(to_float64(train), to_float64(test))
        labels = labels.to(train.device)
        drawn = draw_labelled(labels, num_classes, self.labels, generator)
        weight, bias = fit(
            train[drawn], labels[drawn], num_classes, self.l2, "evaluation.few_labels.l2"
        )
        return test @ weight.T + bias


def draw_labelled(
    labels: Tensor, num_classes: int, wanted: float, generator: torch.Generator
) -> Tensor:
    """Draw the same number of images of every class; all of a class that has fewer.

    Args:
        labels: classes in 0 .. num_classes - 1, ``(N,)``.
        num_classes: the number of classes, C.
        wanted: a share of all images, a float below 1: ``wanted * N / C`` of each class,
            rounded, at least one; or a number of images of each class, an int.
        generator: a CPU generator.

    Returns:
        Their places, class by class. More of them are the same ones and others.
    """
    each = wanted if isinstance(wanted, int) else max(1, round(wanted * len(labels) / num_classes))
    drawn = []
    for number in range(num_classes):
        held = torch.nonzero(labels == number)[:, 0]
        order = torch.randperm(len(held), generator=generator)[:each]
        drawn.append(held[order.to(held.device)])
    return torch.cat(drawn)
