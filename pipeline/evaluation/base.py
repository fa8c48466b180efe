"""The Probe contracts: ask a frozen network which class an image shows.

A probe is a subclass of one of three: ``FeatureProbe`` learns from features that are extracted
once, ``ImageProbe`` from features of images that are augmented anew each time, and
``OnlineProbe`` has learnt while the network was trained.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor

from pipeline.data.augmentation.view_augment import ViewAugment


class Probe(ABC):  # noqa: B024  its three kinds have the methods
    """A classifier on a frozen network; its options are keyword arguments.

    Attributes:
        stream: the purpose of the random numbers that it draws, if it draws any.
    """

    stream = "probe"


class FeatureProbe(Probe):
    """A classifier on features that are extracted once."""

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


class TrainingImages(Protocol):
    """Labelled training images in front of the frozen network.

    Attributes:
        labels: their classes in 0 .. num_classes - 1, ``(N,)``, on the network's device.
        num_features: the size of a feature vector, F.
    """

    labels: Tensor
    num_features: int

    def read_features(
        self, batches: Sequence[Tensor], view: ViewAugment, generator: torch.Generator
    ) -> Iterator[Tensor]:
        """Yield the features of a new view of each image, batch by batch.

        Args:
            batches: the places of each batch's images, ``(B,)`` each.
            view: how the view is made.
            generator: a CPU generator, from which the views are drawn.

        Yields:
            Float32 ``(B, F)``, on the network's device, without gradient.
        """


class ImageProbe(Probe):
    """A classifier that learns from new views of the images in each epoch.

    It is measured only while the images of all tasks that a state is asked about are here.
    """

    @abstractmethod
    def scores(
        self,
        train: TrainingImages,
        test: Tensor,
        num_classes: int,
        generator: torch.Generator,
    ) -> Tensor:
        """Learn from the training images and score the test features.

        Args:
            train: the training images.
            test: features of all test images, not augmented, ``(M, F)``, on the same device.
            num_classes: the number of classes of the stream.
            generator: the same for every state of a run.

        Returns:
            As ``FeatureProbe.scores``.

        Raises:
            RunError: the options do not fit these images.
        """


class OnlineProbe(Probe):
    """A classifier that was trained while the network was, and is only tested here.

    State 0 has none, so nothing is measured on it.
    """

    @abstractmethod
    def scores(self, weight: Tensor, bias: Tensor, test: Tensor) -> Tensor:
        """Score the test features.

        Args:
            weight: of the classifier when the task ended, ``(C, F)``.
            bias: likewise, ``(C,)``.
            test: features of all test images, ``(M, F)``, on the same device.

        Returns:
            One score for each label of the stream, ``(M, C)``.
        """
