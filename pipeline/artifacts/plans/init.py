"""The plan of ``init``."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.artifacts.plans.parts import BackbonePlan


@dataclass(frozen=True)
class InputRecipe:
    """How images entered the network that weights are of.

    Attributes:
        mean: of each channel, scaled to [0, 1], that is subtracted.
        std: of each channel, by which it is then divided.
        image_size: height and width in pixels that it was trained at.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    image_size: int


@dataclass(frozen=True)
class WeightsPlan:
    """Weights that were trained elsewhere.

    Attributes:
        source: a file, a folder or the name of a model, as params have it.
        digest: the SHA-256 of the file that holds them.
        images: how images entered; None: they do not say it.
    """

    source: str
    digest: str
    images: InputRecipe | None = None


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
