"""The backbones that params.yaml can name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from pipeline.config.option_types import Widths
from pipeline.config.registry.component import Component
from pipeline.models.timm_names import PREFIX

TIMM = "pipeline.models.timm_network:TimmNetwork"
ANY_TIMM = f"{PREFIX}<model>"  # stands for every network of timm


@dataclass(frozen=True)
class TimmBackbone(Component):
    """A backbone that timm builds: no stem of ours, and made for the size of the images.

    Attributes:
        model: the name in timm; empty: ``backbone.name`` says it.
        fit_patches: whether the size of a transformer's patches follows the size of the images,
            where params do not say it.
    """

    model: str = ""
    fit_patches: bool = False


@dataclass(frozen=True)
class ResNetBackbone(Component):
    """A ResNet of ours, whose class takes ``backbone.norm``."""


BACKBONES = {
    "small_resnet": ResNetBackbone(
        "pipeline.models.small_resnet:SmallResNet",
        "a few residual stages for images of about 28 to 64 pixels on a CPU",
        {"widths": Widths, "blocks": Annotated[int, Field(ge=1, le=64)]},
    ),
    "resnet18": ResNetBackbone("pipeline.models.resnet:ResNet18", "torchvision's ResNet-18"),
    "resnet50": ResNetBackbone("pipeline.models.resnet:ResNet50", "torchvision's ResNet-50"),
    "vit_tiny": TimmBackbone(
        TIMM,
        "vision transformer of about 5.5 M weights, timm's; patches fit the images",
        model="vit_tiny_patch16_224",
        fit_patches=True,
    ),
    "vit_small": TimmBackbone(
        TIMM,
        "vision transformer of about 22 M weights, timm's; patches fit the images",
        model="vit_small_patch16_224",
        fit_patches=True,
    ),
    "vit_base": TimmBackbone(
        TIMM,
        "vision transformer of about 86 M weights, timm's; patches fit the images",
        model="vit_base_patch16_224",
        fit_patches=True,
    ),
    ANY_TIMM: TimmBackbone(TIMM, "any network of timm, as timm/convnext_atto"),
}


def find_backbone(name: str) -> Component:
    """The entry of ``backbone.name``, which is known to be there."""
    return BACKBONES[entry_name(name)]


def entry_name(name: str) -> str:
    """The name in the registry of ``backbone.name``."""
    return ANY_TIMM if name.startswith(PREFIX) else name
