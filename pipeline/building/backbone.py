"""The backbone that a plan names."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from pipeline.building.components import load_class
from pipeline.files.sealed_json import Json

if TYPE_CHECKING:
    from pipeline.models.backbone import Backbone


def build_backbone(spec: Json) -> Backbone:
    """Return a new backbone as the plan describes it."""
    backbone = load_class(cast(str, spec["class"]))
    options = cast(Json, spec["options"])
    return cast("Backbone", backbone(spec["channels"], spec["stem"], **options))
