"""The plan of the online classifier, which no state depends on."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.data.augmentation.view_augment import ViewAugment


@dataclass(frozen=True)
class OnlinePlan:
    """The training of the online classifier beside the network's.

    It is no part of the plans of ``train``: those name what makes a state, and the classifier
    changes none.

    Attributes:
        num_tasks: tasks of the stream, whose labelled images it learns from, all of them.
        splits: the digest of the plan that cuts them.
        view: how its images are augmented.
        learning_rate: the peak of its rate.
    """

    num_tasks: int
    splits: str
    view: ViewAugment
    learning_rate: float
