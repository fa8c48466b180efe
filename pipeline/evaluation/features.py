"""Features of images, extracted once by a frozen backbone."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from pipeline.models.backbone import Backbone

BATCH = 512


def extract(
    backbone: Backbone, images: Tensor | Iterable[Tensor], prepare: Callable[[Tensor], Tensor]
) -> Tensor:
    """Return the features of images, without changing the backbone.

    Args:
        backbone: put in eval mode: BatchNorm uses its stored statistics.
        images: uint8 ``(N, C, H, W)``, or batches of them; moved to the backbone's device a
            batch at a time.
        prepare: turns a batch of bytes into what the backbone was trained on.

    Returns:
        Float32 ``(N, F)``, on the backbone's device.
    """
    backbone.eval()
    device = next(backbone.parameters()).device
    with torch.no_grad():
        batches = [
            backbone(prepare(batch.to(device)).contiguous(memory_format=torch.channels_last))
            for batch in (torch.split(images, BATCH) if isinstance(images, Tensor) else images)
        ]
    return torch.cat(batches).float()
