"""The backbone that a plan names."""

from __future__ import annotations

from pipeline.artifacts.plans.parts import BackbonePlan
from pipeline.building.components import load_class
from pipeline.models.backbone import Backbone


def build_backbone(plan: BackbonePlan) -> Backbone:
    """A new backbone, with random weights."""
    backbone = load_class(plan.path, Backbone)
    stem = () if plan.stem is None else (plan.stem,)
    norm = {} if plan.norm == "batch" else {"norm": plan.norm}
    return backbone(plan.channels, *stem, **norm, **plan.options)
