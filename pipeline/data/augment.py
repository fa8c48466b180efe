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

# Takes images and their places in the batch.
Change = Callable[[Tensor, Tensor], Tensor]


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
    position = torch.rand(2, count, generator=generator)
    none_fits = ~fits.any(dim=1)
    if none_fits.any():
        crop_width[none_fits] = min(width, round(height * ASPECT_RATIOS[1]))
        crop_height[none_fits] = min(height, round(width / ASPECT_RATIOS[0]))
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
            # Bytes are moved, not floats: cropping wants the colours of a row beside each other.
            scaled = (images.transpose(1, 2).contiguous() / 255).transpose(1, 2)
            return tuple(self._view(scaled, recipe, generator) for recipe in self.recipes)

    def normalise(self, images: Tensor) -> Tensor:
        """Return float ``(N, C, size, size)``: the centre of uint8 images, not augmented."""
        top, left = ((side - self.size) // 2 for side in images.shape[-2:])
        centre = images[..., top : top + self.size, left : left + self.size]
        return self._normalised(centre / 255)

    def _normalised(self, images: Tensor) -> Tensor:
        """Return images with the data set's mean and deviation taken away, in their place."""
        return images.sub_(self.mean.to(images.device)).div_(self.std.to(images.device))

    def _view(self, images: Tensor, recipe: ViewAugment, generator: torch.Generator) -> Tensor:
        count, (height, width) = self._all(images), images.shape[-2:]
        crops = sample_crops(count, height, width, recipe.crop_scale, generator)
        on_device = [self._own(value).to(images.device) for value in crops]
        top, left, crop_height, crop_width = on_device
        view = image_ops.resized_crop(images, top, left, crop_height, crop_width, self.size)
        self._jitter(view, recipe, generator)
        if recipe.grey > 0 and view.shape[1] == 3:
            self._sometimes(
                view,
                recipe.grey,
                lambda some, at: image_ops.rgb_to_grayscale(some).expand_as(some),
                generator,
            )
        if recipe.blur > 0:
            kernel_size = max(3, self.size // 10 | 1)
            sigma = self._own(_uniform((count,), BLUR_SIGMA, generator)).to(view.device)
            self._sometimes(
                view,
                recipe.blur,
                lambda some, at: image_ops.gaussian_blur(some, kernel_size, sigma[at]),
                generator,
            )
        if recipe.solarize > 0:
            self._sometimes(
                view,
                recipe.solarize,
                lambda some, at: image_ops.solarize(some, SOLARIZE_THRESHOLD),
                generator,
            )
        if recipe.flip > 0:
            self._sometimes(view, recipe.flip, lambda some, at: image_ops.hflip(some), generator)
        return self._normalised(view)

    def _jitter(self, view: Tensor, recipe: ViewAugment, generator: torch.Generator) -> None:
        """Change brightness, contrast, saturation and hue, in random order.

        Differs from the reference: the order is drawn once a batch, not once an image.
        """
        count = self._all(view)
        strengths = (recipe.brightness, recipe.contrast, recipe.saturation, recipe.hue)
        operations = (
            image_ops.adjust_brightness,
            image_ops.adjust_contrast,
            image_ops.adjust_saturation,
            image_ops.adjust_hue,
        )
        chosen = torch.rand(count, generator=generator) < recipe.jitter
        steps = []
        for index in torch.randperm(4, generator=generator).tolist():
            strength = strengths[index]
            is_hue = index == 3
            bounds = (-strength, strength) if is_hue else (max(0.0, 1 - strength), 1 + strength)
            factor = self._own(_uniform((count,), bounds, generator))
            if strength > 0:
                steps.append((operations[index], factor.to(view.device)))

        def jitter(some: Tensor, at: Tensor) -> Tensor:
            for operation, factor in steps:
                some = operation(some, factor[at], some)
            return some

        _change(view, self._own(chosen), jitter)

    def _sometimes(
        self, images: Tensor, probability: float, change: Change, generator: torch.Generator
    ) -> None:
        """Change each image with some probability."""
        chosen = torch.rand(self._all(images), generator=generator) < probability
        _change(images, self._own(chosen), change)

    def _all(self, images: Tensor) -> int:
        """Return how many images the processes have together."""
        return len(images) * self.processes

    def _own(self, drawn: Tensor) -> Tensor:
        """Return this process's rows of what was drawn for all."""
        return drawn if self.processes == 1 else drawn.chunk(self.processes)[self.rank]


def _change(images: Tensor, chosen: Tensor, change: Change) -> None:
    """Change the chosen images in place.

    Args:
        images: ``(N, C, H, W)``.
        chosen: on the CPU, so that a GPU need not be waited for, ``(N,)``.
        change: takes a copy of the chosen images, ``(M, C, H, W)``, and their places ``(M,)``.
    """
    at = chosen.nonzero().flatten().to(images.device)
    if len(at):
        # Colours first: so they lie in memory, see pipeline.data.image_ops.
        planes = images.transpose(0, 1)
        changed = change(planes.index_select(1, at).transpose(0, 1), at)
        planes.index_copy_(1, at, changed.transpose(0, 1))
