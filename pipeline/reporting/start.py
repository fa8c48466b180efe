"""The network that a stream starts from, in words."""

from __future__ import annotations

from pipeline.files.sealed_json import Json

RANDOM_NETWORK = "random network"
PRETRAINED = "pretrained network"


def find_source(params: Json) -> str | None:
    """Return the weights that a run starts from, as its params name them; None: random ones."""
    backbone = params.get("backbone")
    source = backbone.get("weights") if isinstance(backbone, dict) else None
    return None if source is None else str(source)


def name_start(params: Json) -> str:
    """Return what row 0 of a run's matrix is called."""
    return RANDOM_NETWORK if find_source(params) is None else PRETRAINED
