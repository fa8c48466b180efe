"""What is random about a view: how it may be made, and what was drawn for each image."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pipeline.data.augmentation.view_augment import ViewAugment

CROP_TRIES = 10  # torchvision's
ASPECT_RATIOS = (3 / 4, 4 / 3)  # torchvision's
BLUR_SIGMA = (0.1, 2.0)  # SimCLR's, in pixels
# A batch goes through them in a random order.
JITTERS = ("brightness", "contrast", "saturation", "hue")
NEUTRAL = {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.0}


class CropNumbers:
    """What is random about the crops of several views, from torchvision's RandomResizedCrop.

    Args:
        views: how many views.
        count: images of a batch.
    """

    def __init__(self, views: int, count: int) -> None:
        self.area = torch.empty(views, count, CROP_TRIES)
        self.log_ratio = torch.empty(views, count, CROP_TRIES)
        self.position = torch.empty(views, 2, count)

    def draw_view(self, view: int, scale: tuple[float, float], generator: torch.Generator) -> None:
        """Draw for a view: shares of the area, aspect ratios, then the place."""
        self.area[view].uniform_(*scale, generator=generator)
        bounds = math.log(ASPECT_RATIOS[0]), math.log(ASPECT_RATIOS[1])
        self.log_ratio[view].uniform_(*bounds, generator=generator)
        self.position[view].uniform_(generator=generator)

    def crops(self, height: int, width: int) -> Tensor:
        """Return top, left, height and width in pixels, int64 ``(4, views, count)``; once.

        The numbers are overwritten.
        An image none of whose ten tries fits gets the largest central crop of an allowed ratio.

        Args:
            height: of the images, in pixels.
            width: likewise.
        """
        # By NumPy, and for all views at once: an operation of torch on so few numbers costs
        # twice as much, and so does every further operation.
        area = self.area.mul_(height * width).flatten(0, 1).numpy()
        ratio = self.log_ratio.exp_().flatten(0, 1).numpy()
        position = self.position.transpose(0, 1).flatten(1).numpy()
        sides = np.rint(np.sqrt(np.stack([area / ratio, area * ratio])))
        limits = np.array([[[height]], [[width]]], np.float32)
        fits = ((sides > 0) & (sides <= limits)).all(axis=0)
        lengths = sides[:, np.arange(len(fits)), fits.argmax(axis=1)]
        none_fits = ~fits.any(axis=1)
        if none_fits.any():
            lengths[0, none_fits] = min(height, round(width / ASPECT_RATIOS[0]))
            lengths[1, none_fits] = min(width, round(height * ASPECT_RATIOS[1]))
            position[:, none_fits] = 0.5
        starts = position * (limits[:, 0] + 1 - lengths)
        crops = np.concatenate([starts, lengths]).astype(np.int64)
        return torch.from_numpy(crops.reshape(4, *self.area.shape[:2]))


def _uniform(
    shape: tuple[int, ...], bounds: tuple[float, float], generator: torch.Generator
) -> Tensor:
    return torch.empty(shape).uniform_(*bounds, generator=generator)


class DrawnView(NamedTuple):
    """What was drawn for a view of each image of a batch, on the CPU.

    Attributes:
        crops: top, left, height and width of the crop in pixels, int64 ``(N,)`` each.
        jitter: whether colours are changed, ``(N,)``.
        factors: the names of the changes in their order, with the factor of each image ``(N,)``:
            that which changes nothing where colours are not changed.
        grey: whether colours are dropped, ``(N,)``; None where the recipe has none of it.
        sigma: of the blur, in pixels, ``(N,)``; None likewise.
        blur: whether it is blurred, ``(N,)``; None likewise.
        solarize: whether its bright half is inverted, ``(N,)``; None likewise.
        flip: whether it is mirrored, ``(N,)``; None likewise.
    """

    crops: tuple[Tensor, ...]
    jitter: Tensor
    factors: tuple[tuple[str, Tensor], ...]
    grey: Tensor | None
    sigma: Tensor | None
    blur: Tensor | None
    solarize: Tensor | None
    flip: Tensor | None


def draw_batches(
    recipes: Sequence[ViewAugment],
    count: int,
    image_shape: tuple[int, int, int],
    own: Callable[[Tensor], Tensor],
    generator: torch.Generator,
    batches: int = 1,
) -> list[tuple[list[DrawnView], Tensor]]:
    """Draw the views of each image of one batch after another, one view after another.

    Differs from the reference: the order of the jitter's changes is drawn once a batch, not
    once an image.

    Args:
        recipes: one a view.
        count: images of the batch, over all processes.
        image_shape: channels, height and width.
        own: takes what was drawn for all images, ``(..., count)``, and returns this process's.
        generator: what decides.
        batches: how many batches.

    Returns:
        For each batch what was drawn for each view, and the generator's state after it.
    """
    channels, height, width = image_shape
    numbers = CropNumbers(batches * len(recipes), count)
    changes, states = [], []
    for batch in range(batches):
        for view, recipe in enumerate(recipes, batch * len(recipes)):
            numbers.draw_view(view, recipe.crop_scale, generator)
            changes.append(_draw_changes(recipe, count, channels, own, generator))
        states.append(generator.get_state())
    crops = own(numbers.crops(height, width)).unbind(1)
    drawn = [
        change._replace(crops=crop.unbind()) for change, crop in zip(changes, crops, strict=True)
    ]
    return [
        (drawn[batch * len(recipes) : (batch + 1) * len(recipes)], state)
        for batch, state in enumerate(states)
    ]


def _draw_changes(
    recipe: ViewAugment,
    count: int,
    channels: int,
    own: Callable[[Tensor], Tensor],
    generator: torch.Generator,
) -> DrawnView:
    """Draw all of a view but its crops, which are left empty."""

    def chance(probability: float) -> Tensor:
        return own(torch.rand(count, generator=generator) < probability)

    jitter = chance(recipe.jitter)
    stay, factors = ~jitter, []
    order = torch.randperm(len(JITTERS), generator=generator).tolist()
    for index, share in zip(
        order, torch.rand(len(JITTERS), count, generator=generator), strict=True
    ):
        name = JITTERS[index]
        strength: float = getattr(recipe, name)
        if strength > 0:
            low, high = NEUTRAL[name] - strength, NEUTRAL[name] + strength
            low = low if name == "hue" else max(0.0, low)
            factor = own(share.mul_(high - low).add_(low))
            factors.append((name, factor.masked_fill_(stay, NEUTRAL[name])))
    grey = chance(recipe.grey) if recipe.grey > 0 and channels == 3 else None
    sigma = own(_uniform((count,), BLUR_SIGMA, generator)) if recipe.blur > 0 else None
    blur = chance(recipe.blur) if recipe.blur > 0 else None
    solarize = chance(recipe.solarize) if recipe.solarize > 0 else None
    flip = chance(recipe.flip) if recipe.flip > 0 else None
    return DrawnView((), jitter, tuple(factors), grey, sigma, blur, solarize, flip)
