"""The plan of ``init``."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.artifacts.plans.parts import BackbonePlan


@dataclass(frozen=True)
class InitPlan:
    """The random network.

    Attributes:
        seed: of the run.
        backbone: the network.
        code: the fingerprint of the stage's code.
    """

    seed: int
    backbone: BackbonePlan
    code: str
