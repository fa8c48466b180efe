"""The backbone of a state, with its weights."""

from __future__ import annotations

from pipeline import layout
from pipeline.artifacts.plans.evaluate import EvaluatePlan
from pipeline.artifacts.state import BACKBONE, read_state
from pipeline.building.backbone import build_backbone
from pipeline.models.backbone import Backbone
from pipeline.models.loading import load_module


def load_backbone(plan: EvaluatePlan) -> tuple[Backbone, str]:
    """The backbone of the state that an evaluation is of, and the state's content.

    Raises:
        PipelineError: the state is missing, damaged or of another run.
    """
    state = read_state(plan.task, plan.state, plan.backbone)
    backbone = build_backbone(plan.backbone)
    load_module(backbone, state.section(BACKBONE), layout.state(plan.task))
    return backbone, state.content
