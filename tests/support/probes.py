"""A probe that answers by a function."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pipeline.evaluation.base import FeatureProbe


class StubProbe(FeatureProbe):
    """Its scores are what a function makes of the arguments, the generator excepted."""

    def __init__(self, answer: Callable[[Tensor, Tensor, Tensor, int], Tensor]) -> None:
        self.answer = answer

    def scores(
        self,
        train: Tensor,
        labels: Tensor,
        test: Tensor,
        num_classes: int,
        generator: torch.Generator,
    ) -> Tensor:
        """Return the function's answer."""
        return self.answer(train, labels, test, num_classes)
