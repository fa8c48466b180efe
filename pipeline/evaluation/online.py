"""The online linear classifier: trained while the network is, tested when a task ends."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from pipeline.evaluation.base import OnlineProbe


class Online(OnlineProbe):
    """The classifier's outputs; ``pipeline.training.online`` trains it.

    Args:
        learning_rate: the peak of its rate.
    """

    def __init__(self, *, learning_rate: float) -> None:
        self.learning_rate = learning_rate

    def scores(self, weight: Tensor, bias: Tensor, test: Tensor) -> Tensor:
        """Return the logits."""
        return functional.linear(test, weight, bias)
