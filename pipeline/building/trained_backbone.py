"""The backbone of a state, with its weights."""

from __future__ import annotations

from pipeline import layout
from pipeline.artifacts.evaluation import RANDOM
from pipeline.artifacts.plans.evaluate import EvaluatePlan
from pipeline.artifacts.state import BACKBONE, read_state
from pipeline.building.backbone import build_backbone
from pipeline.models.backbone import Backbone
from pipeline.models.loading import load_module
from pipeline.seeding import seeded_initialization


def load_backbone(plan: EvaluatePlan, task: int) -> tuple[Backbone, str]:
    """The backbone of a state, and the state's content.

    Args:
        plan: of the evaluation of all states.
        task: the number of the state; ``RANDOM``: the random network, whatever state 0 holds.

    Raises:
        PipelineError: the state is missing, damaged or of another run.
    """
    if task == RANDOM and plan.random is not None:
        with seeded_initialization(plan.seed, "backbone"):  # as init does
            return build_backbone(plan.backbone), plan.random
    state = read_state(task, plan.states[task], plan.backbone)
    backbone = build_backbone(plan.backbone)
    load_module(backbone, state.section(BACKBONE), layout.state(task))
    return backbone, state.content
