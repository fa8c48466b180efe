"""The plan of the probes that are measured while the network trains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.artifacts.plans.parts import ComponentPlan, DatasetPlan


@dataclass(frozen=True)
class ProbingPlan:
    """Probes of the network in training, which no state depends on.

    It is no part of the plans of ``train``, as that of the online classifier is none, and says
    nothing of how many tasks there are: one that is appended changes no training before it.

    Attributes:
        every: epochs between two measurements; the last epoch of a task always has one.
        probes: that are fitted to the features of some images.
        cost: of training's work, the share that the images' passes through the network may take.
        code: the fingerprint of the code that measures.
        labelled: the folder of labelled images where those of the tasks have no labels.
    """

    every: int
    probes: Sequence[ComponentPlan]
    cost: float
    code: str
    labelled: DatasetPlan | None = None
