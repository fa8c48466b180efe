"""The content of a model card, before it is text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.artifacts.plans.init import WeightsPlan
from pipeline.artifacts.plans.parts import BackbonePlan, DatasetPlan
from pipeline.artifacts.split import Split
from pipeline.files.sealed_json import Json
from pipeline.reporting.card.state_metrics import StateMetrics


@dataclass(frozen=True)
class Link:
    """A state in the chain that a state comes from, as far as it is known.

    Attributes:
        task: the last task it has learnt.
        content: SHA-256 of its tensors.
        plan: the digest of the plan that made it; None where the state is no longer here.
        split: the digest of the split it has learnt from; None likewise, and of state 0.
    """

    task: int
    content: str
    plan: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class Card:
    """The content of a model card.

    Attributes:
        after_task: the last task that the state has learnt; 0 is what the stream starts from.
        at_once: whether all tasks were learnt at once.
        params: the planned params.
        dataset: the data set as the plan describes it.
        splits: the tasks' splits.
        backbone: the backbone as the plan describes it.
        num_features: the size of its features.
        chain: the state and those before it, backwards.
        quality: its accuracies and metrics.
        code: what the code is called.
        protocol: how the headline probe's accuracies come about.
        files: size in bytes and SHA-256 of each exported file.
        decoding: the steps from an image file to the network's input; none without files.
        weights: what the stream starts from; None: random weights.
        onnx_resize: to how many pixels the ONNX model resizes the shorter side of what it is given;
            None: it is given what the network sees.
    """

    after_task: int
    at_once: bool
    params: Json
    dataset: DatasetPlan
    splits: list[Split]
    backbone: BackbonePlan
    num_features: int
    chain: Sequence[Link]
    quality: StateMetrics
    code: str
    protocol: str
    files: dict[str, tuple[int, str]]
    decoding: Sequence[str] = ()
    weights: WeightsPlan | None = None
    onnx_resize: int | None = None

    @property
    def last(self) -> int:
        """The task number of the run's last state."""
        return 1 if self.at_once else len(self.splits)

    @property
    def shape(self) -> str:
        """Channels, height and width of an image, as ``1, 28, 28``."""
        size = self.dataset.image_size
        return f"{self.dataset.channels}, {size}, {size}"

    def learnt(self, task: int) -> bool:
        """Return whether the state has learnt a task."""
        return task <= self.after_task or (self.at_once and self.after_task > 0)
