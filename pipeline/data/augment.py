"""Two random views of a batch of images, made on the device."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.data import image_ops

CROP_TRIES = 10  # torchvision's
ASPECT_RATIOS = (3 / 4, 4 / 3)  # torchvision's
BLUR_SIGMA = (0.1, 2.0)  # SimCLR's, in pixels
SOLARIZE_THRESHOLD = 0.5


@dataclass(frozen=True)
class ViewAugment:
    """How one view is made; probabilities are per image.

    Attributes:
        crop_scale: smallest and largest share of the area that a crop keeps.
        flip: probability of a horizontal flip.
        jitter: probability of colour jitter.
        brightness: largest relative change of brightness.
        contrast: largest relative change of contrast.
        saturation: largest relative change of saturation (RGB images only).
        hue: largest turn of the hue, at most 0.5 circles (RGB images only).
        grey: probability of dropping the colours (RGB images only).
        blur: probability of a Gaussian blur, its kernel a tenth of the image.
        solarize: probability of inverting the bright half of the values.
    """

    crop_scale: tuple[float, float]
    flip: float
    jitter: float
    brightness: float
    contrast: float
    saturation: float
    hue: float
    grey: float
    blur: float
    solarize: float


def sample_crops(
    count: int, height: int, width: int, scale: tuple[float, float], generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Draw crops as torchvision's RandomResizedCrop does: area, then aspect ratio.

    Returns:
        top, left, height and width in pixels, each ``(count,)`` of int64. An image none of
        whose ten tries fits gets the largest central crop of an allowed ratio.
    """
    shape = (count, CROP_TRIES)
    area = height * width * _uniform(shape, scale, generator)
    log_ratio = _uniform(shape, (math.log(ASPECT_RATIOS[0]), math.log(ASPECT_RATIOS[1])), generator)
    ratio = log_ratio.exp()
    crop_width = (area * ratio).sqrt().round().long()
    crop_height = (area / ratio).sqrt().round().long()
    fits = (crop_width > 0) & (crop_width <= width) & (crop_height > 0) & (crop_height <= height)
    first = fits.int().argmax(dim=1, keepdim=True)
    crop_width = crop_width.gather(1, first).squeeze(1)
    crop_height = crop_height.gather(1, first).squeeze(1)
    none_fits = ~fits.any(dim=1)
    crop_width[none_fits] = min(width, round(height * ASPECT_RATIOS[1]))
    crop_height[none_fits] = min(height, round(width / ASPECT_RATIOS[0]))
    position = torch.rand(2, count, generator=generator)
    position[:, none_fits] = 0.5
    top = (position[0] * (height - crop_height + 1)).long()
    left = (position[1] * (width - crop_width + 1)).long()
    return top, left, crop_height, crop_width


def _uniform(
    shape: tuple[int, ...], bounds: tuple[float, float], generator: torch.Generator
) -> Tensor:
    low, high = bounds
    return low + (high - low) * torch.rand(shape, generator=generator)


class Augment:
    """Make one view a recipe of each image of a batch.

    All random parameters are drawn on the CPU from one generator, so the views are
    the same on every device; the arithmetic runs where the images are.

    Args:
        recipes: one recipe a view.
        size: height and width of the views in pixels.
        mean: mean of each channel in [0, 1], subtracted from the views.
        std: standard deviation of each channel, by which they are divided.
        rank: which rows of a global batch are given, where several processes share it.
        processes: how many share it. Each draws for all of it, so they see what one would.
    """

    def __init__(
        self,
        recipes: Sequence[ViewAugment],
        size: int,
        mean: Sequence[float],
        std: Sequence[float],
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        self.recipes = tuple(recipes)
        self.size = size
        self.mean = torch.tensor(mean)[:, None, None]
        self.std = torch.tensor(std)[:, None, None]
        self.rank = rank
        self.processes = processes

    def __call__(self, images: Tensor, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Return the views, each float ``(N, C, size, size)``, of uint8 ``(N, C, H, W)``."""
        # Pixels stay float32: bfloat16 keeps 8 bits of them, and matrix products would round.
        with torch.autocast(images.device.type, enabled=False), torch.no_grad():
            scaled = images.float() / 255
            return tuple(self._view(scaled, recipe, generator) for recipe in self.recipes)

    def normalise(self, images: Tensor) -> Tensor:
        """Return float ``(N, C, size, size)``: the centre of uint8 images, not augmented."""
        top, left = ((side - self.size) // 2 for side in images.shape[-2:])
        centre = images[..., top : top + self.size, left : left + self.size]
        return self._normalised(centre.float() / 255)

    def _normalised(self, images: Tensor) -> Tensor:
        return (images - self.mean.to(images.device)) / self.std.to(images.device)

    def _view(self, images: Tensor, recipe: ViewAugment, generator: torch.Generator) -> Tensor:
        count, (height, width) = self._all(images), images.shape[-2:]
        crops = sample_crops(count, height, width, recipe.crop_scale, generator)
        on_device = [self._own(value).to(images.device) for value in crops]
        top, left, crop_height, crop_width = on_device
        view = image_ops.resized_crop(images, top, left, crop_height, crop_width, self.size)
        view = self._jitter(view, recipe, generator)
        if recipe.grey > 0 and view.shape[1] == 3:
            view = self._sometimes(
                view, recipe.grey, lambda x: image_ops.rgb_to_grayscale(x).expand_as(x), generator
            )
        if recipe.blur > 0:
            kernel_size = max(3, self.size // 10 | 1)
            sigma = self._own(_uniform((count,), BLUR_SIGMA, generator)).to(view.device)
            view = self._sometimes(
                view,
                recipe.blur,
                lambda x: image_ops.gaussian_blur(x, kernel_size, sigma),
                generator,
            )
        if recipe.solarize > 0:
            view = self._sometimes(
                view,
                recipe.solarize,
                lambda x: image_ops.solarize(x, SOLARIZE_THRESHOLD),
                generator,
            )
        if recipe.flip > 0:
            view = self._sometimes(view, recipe.flip, image_ops.hflip, generator)
        return self._normalised(view)

    def _jitter(self, view: Tensor, recipe: ViewAugment, generator: torch.Generator) -> Tensor:
        """Change brightness, contrast, saturation and hue, in random order.

        Differs from the reference: the order is drawn once a batch, not once an image.
        """
        count = self._all(view)
        strengths = (recipe.brightness, recipe.contrast, recipe.saturation, recipe.hue)
        operations: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (
            image_ops.adjust_brightness,
            image_ops.adjust_contrast,
            image_ops.adjust_saturation,
            image_ops.adjust_hue,
        )
        jittered = view
        chosen = self._own(torch.rand(count, generator=generator) < recipe.jitter)
        for index in torch.randperm(4, generator=generator).tolist():
            strength = strengths[index]
            is_hue = index == 3
            bounds = (-strength, strength) if is_hue else (max(0.0, 1 - strength), 1 + strength)
            factor = self._own(_uniform((count,), bounds, generator)).to(view.device)
            if strength > 0 and recipe.jitter > 0:
                jittered = operations[index](jittered, factor)
        return torch.where(chosen.to(view.device)[:, None, None, None], jittered, view)

    def _sometimes(
        self,
        images: Tensor,
        probability: float,
        operation: Callable[[Tensor], Tensor],
        generator: torch.Generator,
    ) -> Tensor:
        chosen = self._own(torch.rand(self._all(images), generator=generator) < probability)
        return torch.where(chosen.to(images.device)[:, None, None, None], operation(images), images)

    def _all(self, images: Tensor) -> int:
        """Return how many images the processes have together."""
        return len(images) * self.processes

    def _own(self, drawn: Tensor) -> Tensor:
        """Return this process's rows of what was drawn for all."""
        return drawn if self.processes == 1 else drawn.chunk(self.processes)[self.rank]
