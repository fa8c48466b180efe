"""The backbones that params.yaml can name."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pipeline.config.option_types import Widths
from pipeline.config.registry.component import Component

BACKBONES = {
    "small_resnet": Component(
        "pipeline.models.small_resnet:SmallResNet",
        "a few residual stages for images of about 28 to 64 pixels on a CPU",
        {"widths": Widths, "blocks": Annotated[int, Field(ge=1, le=64)]},
    ),
    "resnet18": Component("pipeline.models.resnet:ResNet18", "torchvision's ResNet-18"),
    "resnet50": Component("pipeline.models.resnet:ResNet50", "torchvision's ResNet-50"),
}
