"""The learning rate over a task."""

from __future__ import annotations

import math


def warmup_cosine(
    step: int, warmup_steps: int, total_steps: int, start: float = 0.0, final: float = 0.0
) -> float:
    """Return the share of the peak learning rate at a step.

    Rises linearly from (almost) ``start`` to 1 over the warm-up, then falls along half a
    cosine to ``final`` when the task ends.

    Differs from the reference: the rate moves every step, not every epoch.

    Args:
        step: the step about to be taken, from 0.
        warmup_steps: steps of the warm-up, 0 or more.
        total_steps: steps of the task.
        start: the share from which the warm-up rises.
        final: the share when the task ends.
    """
    if step < warmup_steps:
        return start + (1 - start) * ((step + 1) / warmup_steps)
    progress = (step - warmup_steps) / max(1, total_steps - warmup_steps)
    return final + (1 - final) * (0.5 * (1 + math.cos(math.pi * min(1.0, progress))))
