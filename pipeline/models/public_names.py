"""Names of a backbone's tensors in other libraries."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from pipeline.models.backbone import Backbone


def publish_names(backbone: Backbone) -> dict[str, Tensor]:
    """Return a backbone's tensors by the names that other libraries give them."""
    return {backbone.portable_name(name): value for name, value in backbone.state_dict().items()}


def adopt_names(backbone: Backbone, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors by the names in ``backbone.state_dict()``, from those of ``publish_names``."""
    own = {backbone.portable_name(name): name for name in backbone.state_dict()}
    return {own.get(name, name): value for name, value in tensors.items()}
