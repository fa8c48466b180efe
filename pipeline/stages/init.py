"""init: the random network, state 0, that the stream starts from."""

from __future__ import annotations

from typing import cast

from pipeline import layout
from pipeline.artifacts.plan import maker, part, require_slot
from pipeline.artifacts.state import save_state
from pipeline.building.backbone import build_backbone
from pipeline.files.sealed_json import Json, digest
from pipeline.seeding import seeded_initialization


def run() -> None:
    """Write data/states/task_0.safetensors: the backbone alone, the same for all methods."""
    slot = require_slot("init")
    with seeded_initialization(cast(int, slot["seed"]), "backbone"):
        backbone = build_backbone(part(slot, "backbone"))
    tensors = {f"method.backbone.{name}": value for name, value in backbone.state_dict().items()}
    origin: Json = {
        "task": 0,
        "plan": digest(slot),
        **maker(slot),
        "backbone": slot["backbone"],
        "ancestors": [],
        "task_order": [],
    }
    save_state(layout.state(0), tensors, origin)
