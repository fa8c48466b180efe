"""The recipe of a view, and the random parameters drawn from it for each image."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pipeline.data.augmentation.view_augment import JitterStyle, ViewAugment
from pipeline.data.interpolation import Interpolation
from pipeline.runtime.device import send

CROP_TRIES = 10  # torchvision's
ASPECT_RATIOS = (3 / 4, 4 / 3)  # torchvision's
BLUR_SIGMA = (0.1, 2.0)  # SimCLR's, in pixels
# Applied to a batch in a random order.
JITTERS = ("brightness", "contrast", "saturation", "hue")
NEUTRAL = {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.0}


class CropNumbers:
    """Random numbers of the crops of several views, as in torchvision's RandomResizedCrop.

    Args:
        views: the number of views.
        count: images of a batch.
    """

    def __init__(self, views: int, count: int) -> None:
        self.area = torch.empty(views, count, CROP_TRIES)
        self.log_ratio = torch.empty(views, count, CROP_TRIES)
        self.position = torch.empty(views, 2, count)

    def draw_view(self, view: int, scale: tuple[float, float], generator: torch.Generator) -> None:
        """Draw for a view: shares of the area, aspect ratios, then the position."""
        self.area[view].uniform_(*scale, generator=generator)
        bounds = math.log(ASPECT_RATIOS[0]), math.log(ASPECT_RATIOS[1])
        self.log_ratio[view].uniform_(*bounds, generator=generator)
        self.position[view].uniform_(generator=generator)

    def crops(self, height: int, width: int) -> Tensor:
        """Return top, left, height and width in pixels, int64 ``(4, views, count)``.

        Can be called once, as it overwrites the drawn numbers. If none of an image's ten tries
        fits, it gets the largest central crop of an allowed ratio.

        Args:
            height: height of the images, in pixels.
            width: width of the images, in pixels.
        """
        # By NumPy, and for all views at once: on so few numbers a torch operation costs twice
        # as much, and each further operation costs as much again.
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

    def numbers(self) -> Tensor:
        """Return shares of the area, ratios and positions, ``(2 · CROP_TRIES + 2, views, count)``.

        Can be called once, instead of ``crops``: for images of different shapes.
        """
        tries = torch.cat([self.area, self.log_ratio.exp_()], dim=2).permute(2, 0, 1)
        return torch.cat([tries, self.position.transpose(0, 1)])


def _uniform(
    shape: tuple[int, ...], bounds: tuple[float, float], generator: torch.Generator
) -> Tensor:
    return torch.empty(shape).uniform_(*bounds, generator=generator)


class DrawnView(NamedTuple):
    """The random parameters of one view of a batch, on the CPU.

    Attributes:
        crops: top, left, height and width of the crop in pixels, int64 ``(4, N)``; of images of
            different shapes the numbers that it follows from, see ``CropNumbers.numbers``.
        jitter: whether colours are changed, bool ``(N,)``.
        factors: the names of the colour changes in their order, each with a factor an image,
            ``(N,)``: the neutral factor if the image's colours are not changed.
        grey: whether colours are dropped, bool ``(N,)``; None if the recipe never does.
        sigma: the blur's standard deviation in pixels, ``(N,)``; None if the recipe never blurs.
        blur: whether the image is blurred, bool ``(N,)``; None likewise.
        solarize: whether bright values are inverted, bool ``(N,)``; None if never.
        flip: whether the image is flipped, bool ``(N,)``; None if never.
        interpolation: of the crops.
        jitter_style: how the factors change colors.
    """

    crops: Tensor
    jitter: Tensor
    factors: tuple[tuple[str, Tensor], ...]
    grey: Tensor | None
    sigma: Tensor | None
    blur: Tensor | None
    solarize: Tensor | None
    flip: Tensor | None
    interpolation: Interpolation
    jitter_style: JitterStyle

    def send(self, device: torch.device) -> DrawnView:
        """Return it with all numbers on a device; what is chosen stays on the CPU."""
        return self._replace(
            crops=send(self.crops, device),
            factors=tuple((name, send(factor, device)) for name, factor in self.factors),
            sigma=None if self.sigma is None else send(self.sigma, device),
            flip=None if self.flip is None else send(self.flip, device),
        )


def draw_batches(
    recipes: Sequence[ViewAugment],
    count: int,
    channels: int,
    image_shape: tuple[int, int] | None,
    own: Callable[[Tensor], Tensor],
    generator: torch.Generator,
    batches: int = 1,
) -> list[tuple[list[DrawnView], Tensor]]:
    """Draw the random parameters of several batches, batch by batch and view by view.

    Differs from the reference: the order of the jitter's changes is drawn once a batch, not
    once an image.

    Args:
        recipes: one a view.
        count: images of a global batch.
        channels: of the images.
        image_shape: their height and width in pixels; None: each has its own.
        own: returns this rank's part of what was drawn for all images, ``(..., count)``.
        generator: a CPU generator.
        batches: the number of batches.

    Returns:
        For each batch the drawn parameters of each view, and the generator's state after it.
    """
    numbers = CropNumbers(batches * len(recipes), count)
    changes, states = [], []
    for batch in range(batches):
        for view, recipe in enumerate(recipes, batch * len(recipes)):
            numbers.draw_view(view, recipe.crop_scale, generator)
            changes.append(_draw_changes(recipe, count, channels, own, generator))
        states.append(generator.get_state())
    crops = own(numbers.numbers() if image_shape is None else numbers.crops(*image_shape))
    drawn = [
        change._replace(crops=crop) for change, crop in zip(changes, crops.unbind(1), strict=True)
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
    """Draw the parameters of a view except its crops, which are left empty."""

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
    return DrawnView(
        torch.empty(0), jitter, tuple(factors), grey, sigma, blur, solarize, flip,
        recipe.interpolation, recipe.jitter_style,
    )  # fmt: skip
