"""The plan of ``evaluate``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.artifacts.plans.parts import BackbonePlan, ComponentPlan, DatasetPlan


@dataclass(frozen=True)
class TransferData:
    """Labelled data that are not the stream's.

    Attributes:
        name: as params name them: a data set, or a folder.
        dataset: where they are, and how they enter the network: at the size, the channels and the
            normalisation of the stream's images.
    """

    name: str
    dataset: DatasetPlan


@dataclass(frozen=True)
class TransferPlan:
    """The evaluation of all states on labelled data that are not the stream's.

    Attributes:
        data: the data.
        probes: that are fitted to the features.
        extraction: the fingerprint of the code that extracts features.
        code: the fingerprint of all code of this evaluation.
    """

    data: Sequence[TransferData]
    probes: Sequence[ComponentPlan]
    extraction: str
    code: str


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
        consolidation: the probe that tells the tasks apart.
        states: the digest of the plan that makes each state, from state 0 on.
        extraction: the fingerprint of the code that extracts features.
        code: the fingerprint of the stage's code.
        one_ahead: whether a state is asked about no task beyond the next one, unless that
            brings classes; else about all tasks of the stream.
        online: the digest of the plan of the online classifiers; None: no probe asks them.
        random: the digest of the plan of the random network, where state 0 holds other weights;
            None: state 0 is the random network.
        labelled: the folder of labelled images where those of the tasks have no labels.
        transfer: the evaluation on other data; None: there is none.
    """

    num_tasks: int
    seed: int
    dataset: DatasetPlan
    backbone: BackbonePlan
    probes: Sequence[ComponentPlan]
    headline: str
    consolidation: ComponentPlan
    states: Sequence[str]
    extraction: str
    code: str
    one_ahead: bool = False
    labelled: DatasetPlan | None = None
    online: str | None = None
    random: str | None = None
    transfer: TransferPlan | None = None

    @property
    def last_state(self) -> int:
        """The number of the run's last state."""
        return len(self.states) - 1
