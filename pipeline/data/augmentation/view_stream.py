"""The views of successive batches, with parameters drawn for several batches at once."""

from __future__ import annotations

from collections import deque

import torch
from torch import Tensor

from pipeline.data.augmentation.augment import Augment
from pipeline.data.augmentation.recipe import DrawnView

# During a step the network pushes the code that draws out of the caches: to draw for a single
# batch would load it anew each time.
BATCHES_AHEAD = 8


class ViewStream:
    """Make the views of successive batches.

    The views equal those of ``augment(images, generator)`` batch by batch, bit for bit.

    Args:
        augment: makes the views.
        generator: a CPU generator; nothing else may draw from it.
    """

    def __init__(self, augment: Augment, generator: torch.Generator) -> None:
        self.augment = augment
        self._generator = generator
        self._state = generator.get_state()
        self._drawn: deque[tuple[list[DrawnView], Tensor]] = deque()
        self._shape = torch.Size()

    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the views, each float ``(N, C, size, size)``, of uint8 ``(N, C, H, W)``."""
        if not self._drawn or images.shape != self._shape:
            # Parameters drawn for another batch shape are dropped and drawn anew.
            self._generator.set_state(self._state)
            self._drawn = deque(
                self.augment.draw_batches(images.shape, self._generator, BATCHES_AHEAD)
            )
            self._shape = images.shape
        drawn, self._state = self._drawn.popleft()
        return self.augment.make_views(images, drawn)

    def state(self) -> Tensor:
        """Return the generator's state after the last batch, uint8."""
        return self._state

    def resume(self, state: Tensor) -> None:
        """Continue after the batch that left the generator in ``state``."""
        self._state = state
        self._drawn.clear()
