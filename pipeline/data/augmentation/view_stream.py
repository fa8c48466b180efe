"""The views of one batch after another, drawn for several batches at once."""

from __future__ import annotations

from collections import deque

import torch
from torch import Tensor

from pipeline.data.augmentation.augment import Augment
from pipeline.data.augmentation.recipe import DrawnView

# Between two steps the caches hold the network, not the code that draws: each batch alone would
# read it anew.
BATCHES_AHEAD = 8


class ViewStream:
    """Make the views of batches, the numbers of each drawn after those of the one before.

    The views are those that ``augment(images, generator)`` gives batch by batch, bit for bit.

    Args:
        augment: makes the views.
        generator: what decides; nothing else may draw from it.
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
            # What was drawn for batches of another shape is drawn anew.
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
        """Go on after the batch that left the generator in a state."""
        self._state = state
        self._drawn.clear()
