"""The plan of ``init``."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.artifacts.plans.parts import BackbonePlan


@dataclass(frozen=True)
class WeightsPlan:
    """Weights that were trained elsewhere.

    Attributes:
        source: a file, a folder or the name of a model, as params have it.
        digest: the SHA-256 of the file that holds them.
    """

    source: str
    digest: str


@dataclass(frozen=True)
class InitPlan:
    """The network that the stream starts from.

    Attributes:
        seed: of the run.
        backbone: the network.
        code: the fingerprint of the stage's code.
        weights: what it holds; None: random weights.
    """

    seed: int
    backbone: BackbonePlan
    code: str
    weights: WeightsPlan | None = None
