"""init: state 0, the random network or one trained elsewhere, that the stream starts from."""

from __future__ import annotations

import logging

from pipeline.artifacts.plans.files import plan_digest, require_plan
from pipeline.artifacts.plans.init import InitPlan
from pipeline.artifacts.state import BACKBONE, Origin, write_state
from pipeline.building.backbone import build_backbone
from pipeline.building.pretrained_backbone import build_pretrained
from pipeline.runtime.inputs import Inputs
from pipeline.seeding import seeded_initialization

logger = logging.getLogger(__name__)


def run(inputs: Inputs) -> None:
    """Write data/states/task_0.safetensors: the backbone alone, the same for all methods.

    Args:
        inputs: what it is made from.

    Raises:
        PipelineError: the weights are missing or do not fit, an input changed while the stage
            ran, or the file cannot be written.
    """
    plan = require_plan(InitPlan, "init")
    with seeded_initialization(plan.seed, "backbone"):
        if plan.weights is None:
            backbone = build_backbone(plan.backbone)
        else:
            backbone, remarks = build_pretrained(plan.backbone, plan.weights)
            for remark in remarks:
                logger.info("%s: %s", plan.weights.source, remark)
    inputs.require_unchanged()
    write_state({BACKBONE: backbone.state_dict()}, describe_origin(plan))


def describe_origin(plan: InitPlan) -> Origin:
    """The origin of state 0."""
    return Origin(0, plan_digest(plan), plan.seed, plan.code, plan.backbone, (), ())
