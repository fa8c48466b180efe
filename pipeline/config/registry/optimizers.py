"""The optimizers that params.yaml can name."""

from __future__ import annotations

from pipeline.config.option_types import PositiveFloat
from pipeline.config.registry.component import Component

OPTIMIZERS = {
    "adamw": Component(
        "pipeline.training.optimizers.adamw:AdamW",
        "Adam with decoupled weight decay (Loshchilov and Hutter, 2019)",
    ),
    "sgd": Component(
        "pipeline.training.optimizers.sgd:SGD",
        "stochastic gradient descent with momentum 0.9",
    ),
    "lars": Component(
        "pipeline.training.optimizers.lars:LARS",
        "sgd with a learning rate for each layer (You et al., 2017)",
        {"trust_coefficient": PositiveFloat, "clip": bool},
    ),
}
