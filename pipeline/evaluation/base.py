"""The Probe contract: asks frozen features which class an image shows."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor


class Probe(ABC):
    """A classifier on frozen features; its options are keyword arguments.

    Attributes:
        stream: the purpose of the random numbers that it draws, if it draws any.
    """

    stream = "probe"

    @abstractmethod
    def scores(
        self,
        train: Tensor,
        labels: Tensor,
        test: Tensor,
        num_classes: int,
        generator: torch.Generator,
    ) -> Tensor:
        """Learn from the training features and score the test features.

        Args:
            train: features of all training images, ``(N, F)``, finite.
            labels: their classes in 0 .. num_classes - 1, ``(N,)``, on the same device.
            test: features of all test images, ``(M, F)``, on the same device.
            num_classes: the number of classes of the stream.
            generator: the same for every state of a run.

        Returns:
            One finite score for each class, the larger the likelier, ``(M, num_classes)``.

        Raises:
            RunError: the options do not fit these features.
        """
