"""Accuracies of states on labelled data that are not the stream's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Transfer:
    """What the features of a state are worth on other data.

    Attributes:
        after_task: the number of the state; 0: what the stream starts from.
        data: the data, as params name them.
        key: the digest of all it was made from.
        accuracy: in percent over all classes of the data, by the name of the probe.
        images: numbers of training and test images.
        classes: the number of classes.
    """

    after_task: int
    data: str
    key: str
    accuracy: Mapping[str, float]
    images: Mapping[str, int]
    classes: int
