"""The network after the last task as a file for others, `data/encoder.safetensors`.

Importing this module imports no torch: an encoder that is there is not made again.
"""

from __future__ import annotations

from pipeline import layout
from pipeline.artifacts.encoder import (
    EncoderOrigin,
    derive_preprocessing,
    pack_encoder,
    read_origin,
)
from pipeline.artifacts.plans.evaluate import EvaluatePlan
from pipeline.errors import StateError
from pipeline.files.atomic import write_bytes
from pipeline.runtime.before_torch import before_torch


def write_last_encoder(plan: EvaluatePlan, content: str) -> None:
    """Write the network after the last task, as ``cassle export`` writes its weights.

    Args:
        plan: of the evaluations.
        content: SHA-256 of the last state's tensors.

    Raises:
        PipelineError: the state is missing or damaged, or the file cannot be written.
    """
    how = derive_preprocessing(plan.dataset)
    origin = EncoderOrigin(plan.last_state, content, plan.backbone, how)
    try:
        if read_origin(layout.ENCODER) == origin:
            return
    except StateError:  # missing, or not to be read: made anew
        pass
    before_torch()
    from pipeline.building.trained_backbone import load_backbone

    backbone, _ = load_backbone(plan, plan.last_state)
    write_bytes(layout.ENCODER, pack_encoder(backbone, origin))
