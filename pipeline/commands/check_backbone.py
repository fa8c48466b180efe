"""check: the network, where timm builds it or its norm is not the usual one."""

from __future__ import annotations

from pipeline.config.params import Params
from pipeline.config.plan_backbone import plan_backbone


def check_backbone(params: Params) -> None:
    """Say what the network is, where that is not plain from its name; build one of timm.

    It may be missing, or not take such images.

    Raises:
        PipelineError: it cannot be built.
    """
    plan = plan_backbone(params)
    if plan.norm == "group":
        print(f"backbone: {plan.name} with GroupNorm; {params.method}'s heads stay as they are")
    if plan.stem is not None:
        return
    from pipeline.building.backbone import build_backbone  # imports torch and timm

    backbone = build_backbone(plan)
    size, patch = plan.options["image_size"], plan.options["patch_size"]
    cut = "" if patch is None else f" in patches of {patch}"
    weights = sum(parameter.numel() for parameter in backbone.parameters())
    print(
        f"backbone: {plan.name}, {plan.options['model']} of timm, {weights / 1e6:.1f} M weights, "
        f"images of {size} pixels{cut} -> {backbone.num_features} features"
    )
