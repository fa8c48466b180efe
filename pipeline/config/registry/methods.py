"""The methods that params.yaml can name."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pipeline.config.option_types import (
    Fraction,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    Temperature,
    Width,
    Widths,
)
from pipeline.config.registry.component import Component

METHODS = {
    "simclr": Component(
        "pipeline.methods.simclr:SimCLR",
        "contrast each image's two views with all others (Chen et al., 2020)",
        {"temperature": Temperature, "distill_temperature": Temperature, "projector": Widths},
    ),
    "mocov2plus": Component(
        "pipeline.methods.mocov2plus:MoCoV2Plus",
        "find the momentum network's key of the other view among a queue (He et al., 2020)",
        {
            "temperature": Temperature,
            "distill_temperature": Temperature,
            "projector": Widths,
            "queue_size": Annotated[int, Field(ge=1, le=10_000_000)],
            "momentum": Fraction,
            "final_momentum": Fraction,
        },
    ),
    "byol": Component(
        "pipeline.methods.byol:BYOL",
        "predict the momentum network's projection of the other view (Grill et al., 2020)",
        {
            "projector": Widths,
            "predictor_hidden": Width,
            "momentum": Fraction,
            "final_momentum": Fraction,
        },
    ),
    "barlow_twins": Component(
        "pipeline.methods.barlow_twins:BarlowTwins",
        "make the views' cross-correlation the identity (Zbontar et al., 2021)",
        {"projector": Widths, "redundancy_weight": NonNegativeFloat, "scale": PositiveFloat},
    ),
    "vicreg": Component(
        "pipeline.methods.vicreg:VICReg",
        "keep variance, bring views together, decorrelate dimensions (Bardes et al., 2022)",
        {
            "projector": Widths,
            "invariance_weight": NonNegativeFloat,
            "variance_weight": NonNegativeFloat,
            "covariance_weight": NonNegativeFloat,
        },
    ),
    "swav": Component(
        "pipeline.methods.swav:SwAV",
        "predict one view's cluster from the other view (Caron et al., 2020)",
        {
            "temperature": Temperature,
            "distill_temperature": Temperature,
            "projector": Widths,
            "num_prototypes": Annotated[int, Field(ge=2, le=1_000_000)],
            "train_prototype_lengths": bool,
            "epsilon": Temperature,
            "sinkhorn_iterations": Annotated[int, Field(ge=1, le=1000)],
            "queue_size": Annotated[int, Field(ge=0, le=10_000_000)],
            "queue_start_epoch": NonNegativeInt,
            "freeze_prototypes_epochs": NonNegativeInt,
        },
    ),
    "simsiam": Component(
        "pipeline.methods.simsiam:SimSiam",
        "predict the other view's projection, without gradient into it (Chen and He, 2021)",
        {"projector": Widths, "predictor_hidden": Width, "constant_predictor_rate": bool},
    ),
    "dino": Component(
        "pipeline.methods.dino:DINO",
        "predict the momentum network's assignment of the other view (Caron et al., 2021)",
        {
            "temperature": Temperature,
            "teacher_temperature": Temperature,
            "warmup_teacher_temperature": Temperature,
            "warmup_teacher_temperature_epochs": NonNegativeInt,
            "distill_temperature": Temperature,
            "projector": Widths,
            "projector_batch_norm": bool,
            "num_prototypes": Annotated[int, Field(ge=2, le=1_000_000)],
            "train_prototype_lengths": bool,
            "center_momentum": Fraction,
            "freeze_prototypes_epochs": NonNegativeInt,
            "momentum": Fraction,
            "final_momentum": Fraction,
        },
    ),
}
