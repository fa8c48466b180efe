"""Experience replay: memory images are appended to each batch."""

from __future__ import annotations

from typing import ClassVar

from pipeline.strategies.replay import ReplayStrategy


class ExperienceReplay(ReplayStrategy):
    """L_SSL on the batch and memory images together.

    In a task stream the memory holds images of earlier tasks and is filled when a task begins.
    Unlike the buffers of supervised replay, it does not take in the present task's images then.

    Args:
        memory: see ``ReplayStrategy``; likewise the two that follow. Without images, or at a share
            of 0, it is finetune.
        memory_size: see above.
        batch_share: see above.
    """

    purpose: ClassVar[str] = "er"
