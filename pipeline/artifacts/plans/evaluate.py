"""The plan of ``evaluate``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.artifacts.plans.parts import BackbonePlan, ComponentPlan, DatasetPlan


@dataclass(frozen=True)
class EvaluatePlan:
    """The evaluation of one state.

    Attributes:
        task: the last task it has learnt; 0: the random network.
        num_tasks: tasks of the stream, whose images it is tested on.
        seed: of the run.
        dataset: the data set.
        backbone: the network of the features.
        probes: that are fitted to its features.
        headline: the name of the probe whose accuracies lead the reports.
        state: the digest of the plan that makes the state.
        code: the fingerprint of the stage's code.
        labelled: the folder of labelled images where those of the tasks have no labels.
    """

    task: int
    num_tasks: int
    seed: int
    dataset: DatasetPlan
    backbone: BackbonePlan
    probes: Sequence[ComponentPlan]
    headline: str
    state: str
    code: str
    labelled: DatasetPlan | None = None
