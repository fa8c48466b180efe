"""The names by which other libraries know a backbone; importing this imports no torch."""

from __future__ import annotations

from pipeline.artifacts.plans.parts import BackbonePlan
from pipeline.files.typed_json import get_typed

# The modules of backbones that are networks of other libraries.
RESNET = "pipeline.models.resnet"
TIMM = "pipeline.models.timm_network"
GROUP_NORM = "groupnorm"  # timm's name of GroupNorm with 32 groups, as ResNets of ours have it
STANDARD_STEM = "conv7_maxpool"  # ImageNet's, which torchvision's and timm's ResNets have


def name_in_timm(plan: BackbonePlan) -> str | None:
    """Return the name of timm's model that a backbone is; None: it is none as it stands."""
    module = plan.path.partition(":")[0]
    if module == TIMM:
        return get_typed(plan.options, str, "model")
    return plan.name if module == RESNET and plan.stem == STANDARD_STEM else None
