"""Compositions of strategies, e.g. ``cassle+er``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from torch import Tensor, nn

from pipeline.methods.base import Method, Position, Views
from pipeline.models.loading import select_below
from pipeline.strategies.base import Step, Strategy, TaskStart


class Composite(Strategy):
    """Several strategies at once: each mixes the views in turn, and loss terms are summed.

    Each looks back at the same network and carries its own tensors, prefixed by its name.

    Args:
        parts: strategies by name, in order.
    """

    def __init__(self, parts: Mapping[str, Strategy]) -> None:
        super().__init__()
        self.parts = nn.ModuleDict(parts)

    def _all(self) -> list[tuple[str, Strategy]]:
        return [(name, cast(Strategy, part)) for name, part in self.parts.items()]

    def begin_task(self, start: TaskStart) -> None:
        """Let each strategy look back, with its own carried tensors.

        Raises:
            ValueError: a carried tensor belongs to none of them, or does not fit its strategy.
        """
        owners = {name.partition(".")[0] for name in start.carried}
        if strangers := owners - set(self.parts):
            raise ValueError(f"tensors of {', '.join(sorted(strangers))} are unknown")
        for name, part in self._all():
            part.begin_task(replace(start, carried=select_below(start.carried, name)))

    def count_images(self, batch_size: int, views: int) -> int:
        """Return the images of a step: the batch's once, and what each strategy adds to them."""
        batch = super().count_images(batch_size, views)
        added = [part.count_images(batch_size, views) - batch for _, part in self._all()]
        return batch + sum(added)

    def observe(self, images: Tensor, at: Position) -> None:
        """Let each strategy look at the images."""
        for _, part in self._all():
            part.observe(images, at)

    def mix(self, views: Views, at: Position) -> Views:
        """Return the views mixed by each strategy in turn."""
        for _, part in self._all():
            views = part.mix(views, at)
        return views

    def terms(self, step: Step) -> dict[str, Tensor]:
        """Return the loss terms of all strategies."""
        return {key: term for _, part in self._all() for key, term in part.terms(step).items()}

    def after_step(self, method: Method, at: Position) -> None:
        """Let each strategy update what it holds."""
        for _, part in self._all():
            part.after_step(method, at)

    def carried(self) -> dict[str, Tensor]:
        """Return the carried tensors of all strategies, prefixed by their names."""
        return {
            f"{name}.{key}": tensor
            for name, part in self._all()
            for key, tensor in part.carried().items()
        }
