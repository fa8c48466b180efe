"""Image operations on a whole batch, each image with its own parameters.

Every function but ``twist_colors`` equals torchvision's functional of the same name, image by
image, on float images in [0, 1]; the tests compare them.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from pipeline.data.augmentation.resampling import apply_to_lines

GRAY_WEIGHTS = (0.2989, 0.587, 0.114)  # torchvision's; ITU-R BT.601 luma
# RGB to YIQ and back, as DALI rounds them: their product differs from 1 by up to 0.003.
TO_YIQ = ((0.299, 0.587, 0.114), (0.596, -0.274, -0.321), (0.211, -0.523, 0.311))
FROM_YIQ = ((1.0, 0.956, 0.621), (1.0, -0.272, -0.647), (1.0, -1.107, 1.705))
DALI_MIDDLE = 128 / 255  # of the contrast, for images of bytes


def _per_image(values: Tensor) -> Tensor:
    return values[:, None, None, None]


def rgb_to_grayscale(images: Tensor) -> Tensor:
    """Return the luma of RGB images, ``(N, 1, H, W)``; grey images stay unchanged."""
    if images.shape[1] == 1:
        return images
    red, green, blue = images.unbind(1)
    luma = red * GRAY_WEIGHTS[0]
    luma.add_(green, alpha=GRAY_WEIGHTS[1]).add_(blue, alpha=GRAY_WEIGHTS[2])
    return luma[:, None]


def adjust_brightness(images: Tensor, factor: Tensor, out: Tensor | None = None) -> Tensor:
    """Multiply by ``factor`` ``(N,)``, clamped to [0, 1]; ``out`` may be ``images``."""
    return torch.mul(images, _per_image(factor), out=out).clamp_(0, 1)


def adjust_contrast(images: Tensor, factor: Tensor, out: Tensor | None = None) -> Tensor:
    """Scale the distance to the image's mean luma by ``factor``; arguments as in brightness."""
    # The mean of the luma is the luma of the means.
    mean = rgb_to_grayscale(images.mean(dim=(2, 3), keepdim=True))
    # torch.lerp takes three times as long from a single number an image.
    moved = torch.mul(images, _per_image(factor), out=out)
    return moved.add_(mean * _per_image(1 - factor)).clamp_(0, 1)


def adjust_saturation(images: Tensor, factor: Tensor, out: Tensor | None = None) -> Tensor:
    """Scale the distance to the pixel's luma by ``factor``; grey images stay unchanged."""
    if images.shape[1] == 1:
        return images
    return torch.lerp(rgb_to_grayscale(images), images, _per_image(factor), out=out).clamp_(0, 1)


def adjust_hue(images: Tensor, factor: Tensor, out: Tensor | None = None) -> Tensor:
    """Turn the hue by ``factor`` ``(N,)`` full circles; grey images stay unchanged."""
    if images.shape[1] == 1:
        return images
    red, green, blue = images.unbind(1)
    # Planes are reused while they are in the cache: new ones would cost as much as the sums.
    value, darkest = torch.maximum(red, green), torch.minimum(red, green)
    torch.maximum(value, blue, out=value)
    torch.minimum(darkest, blue, out=darkest)
    # 1 or 0; a choice by torch.where would take ten times as long as one by lerp.
    is_red, is_green = (torch.eq(value, c, out=torch.empty_like(value)) for c in (red, green))
    spread = value - darkest
    # Sixths of a circle from red, times the spread: from 0, 2 and 4 at red, green and blue.
    ahead, other = red - green, blue - red
    ahead.add_(spread, alpha=4)
    other.add_(spread, alpha=2)
    ahead.lerp_(other, is_green).lerp_(torch.sub(green, blue, out=other), is_red)
    floor, ceiling = darkest.sub_(spread), value.add_(spread)
    spread.mul_(6)
    # Of a grey pixel all differences are 0, and so is the hue.
    torch.clamp(spread, min=torch.finfo(spread.dtype).tiny, out=other)
    # In circles, turned and brought back to [0, 1).
    hue = ahead.div_(other).add_(1 + factor[:, None, None]).frac_()
    # Back to RGB: each channel is a trapezoid of the hue between darkest and value (HSV, closed
    # form): spread · (1 .. 2) above a floor for red, below a ceiling for green and blue.
    turned = torch.empty_like(images) if out is None else out
    for plane, base, centre, sign in zip(
        turned.unbind(1), (floor, ceiling, ceiling), (3 / 6, 2 / 6, 4 / 6), (1, -1, -1), strict=True
    ):
        torch.sub(hue, centre, out=other).abs_().clamp_(1 / 6, 2 / 6)
        torch.addcmul(base, spread, other, value=sign, out=plane)
    return turned


def twist_colors(
    images: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor, hue: Tensor
) -> Tensor:
    """Change brightness, contrast, saturation and hue in one linear map, as DALI's ``ColorTwist``.

    Saturation scales the two color axes of YIQ, hue turns them, and contrast scales the distance
    to middle grey; the result is clamped to [0, 1]. Where nothing is to change, colors still
    move by up to 0.003. Of grey images only brightness and contrast change.

    Args:
        images: ``(N, C, H, W)`` in [0, 1], with one channel or three.
        brightness: a factor an image, ``(N,)``.
        contrast: a factor an image, ``(N,)``.
        saturation: a factor an image, ``(N,)``.
        hue: full circles, ``(N,)``.
    """
    gain = brightness * contrast
    offset = _per_image(DALI_MIDDLE * (brightness - gain))
    if images.shape[1] == 1:
        return torch.addcmul(offset, images, _per_image(gain)).clamp_(0, 1)
    to_yiq, from_yiq = (images.new_tensor(matrix) for matrix in (TO_YIQ, FROM_YIQ))
    turn, none = 2 * torch.pi * hue, torch.zeros_like(hue)
    cosine, sine = saturation * turn.cos(), saturation * turn.sin()
    rows = [[none + 1, none, none], [none, cosine, sine], [none, -sine, cosine]]
    turned = torch.stack([torch.stack(row, -1) for row in rows], -2)
    matrix = gain[:, None, None] * (from_yiq @ turned @ to_yiq)
    planes = images.flatten(2)
    return torch.baddbmm(offset[..., 0], matrix, planes).clamp_(0, 1).view_as(images)


def gaussian_blur(images: Tensor, kernel_size: int, sigma: Tensor) -> Tensor:
    """Blur with a Gaussian of ``sigma`` ``(N,)`` pixels, reflecting at the borders.

    Args:
        images: ``(N, C, H, W)``, both sides larger than half of ``kernel_size``.
        kernel_size: the kernel's odd length in pixels.
        sigma: the Gaussian's standard deviation for each image, ``(N,)``.
    """
    radius = kernel_size // 2
    offsets = torch.arange(-radius, radius + 1, device=images.device)
    kernel = torch.exp(-0.5 * (offsets / sigma[:, None]) ** 2)
    kernel = kernel / kernel.sum(dim=1, keepdim=True)
    rows, columns = (
        (kernel @ _reflecting_shifts(size, radius, images.device)).view(-1, size, size)
        for size in images.shape[2:]
    )
    return apply_to_lines(images, rows, columns)


@functools.lru_cache(maxsize=4)
def _reflecting_shifts(size: int, radius: int, device: torch.device) -> Tensor:
    """Return the matrices that shift a line by -radius to radius pixels, reflecting at its ends.

    Returns:
        0 and 1, float ``(2 · radius + 1, size · size)``: a flattened matrix a shift.
    """
    pixels = torch.arange(size, device=device)
    source = (pixels + torch.arange(-radius, radius + 1, device=device)[:, None]).abs()
    source = torch.where(source >= size, 2 * (size - 1) - source, source)
    return (source[..., None] == pixels).float().flatten(1)


def solarize(images: Tensor, threshold: float) -> Tensor:
    """Invert the pixels at or above ``threshold``."""
    return torch.where(images >= threshold, 1 - images, images)
