"""The plan of ``evaluate``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.artifacts.plans.parts import BackbonePlan, ComponentPlan, DatasetPlan


@dataclass(frozen=True)
class EvaluatePlan:
    """The evaluation of all states.

    Attributes:
        num_tasks: tasks of the stream.
        seed: of the run.
        dataset: the data set.
        backbone: the network of the features.
        probes: that are fitted to its features.
        headline: the name of the probe whose accuracies lead the reports.
        states: the digest of the plan that makes each state, from state 0 on.
        extraction: the fingerprint of the code that extracts features.
        code: the fingerprint of the stage's code.
        one_ahead: whether a state is asked about no task beyond the next one, unless that
            brings classes; else about all tasks of the stream.
        online: the digest of the plan of the online classifiers; None: no probe asks them.
        random: the digest of the plan of the random network, where state 0 holds other weights;
            None: state 0 is the random network.
        labelled: the folder of labelled images where those of the tasks have no labels.
    """

    num_tasks: int
    seed: int
    dataset: DatasetPlan
    backbone: BackbonePlan
    probes: Sequence[ComponentPlan]
    headline: str
    states: Sequence[str]
    extraction: str
    code: str
    one_ahead: bool = False
    labelled: DatasetPlan | None = None
    online: str | None = None
    random: str | None = None

    @property
    def last_state(self) -> int:
        """The number of the run's last state."""
        return len(self.states) - 1
