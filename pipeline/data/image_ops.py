"""Image operations on a whole batch, each image with its own parameters.

Every function equals torchvision's functional of the same name, image by image, on
float images in [0, 1]; the tests compare them. Cropping and blurring are products with
one small matrix an image and axis, so a batch costs two batched multiplications.
"""

from __future__ import annotations

import torch
from torch import Tensor

GREY_WEIGHTS = (0.2989, 0.587, 0.114)  # torchvision's; ITU-R BT.601 luma


def resample_matrix(start: Tensor, length: Tensor, in_size: int, out_size: int) -> Tensor:
    """Return the antialiased bilinear weights that resample an interval of a line.

    The filter is a triangle as wide as one output pixel (at least one input pixel),
    centred on each output pixel, cut at the interval's ends and normalised.

    Args:
        start: first input pixel of each image's interval, ``(N,)``.
        length: its number of pixels, ``(N,)``.
        in_size: length of the whole line in pixels.
        out_size: length of the result in pixels.

    Returns:
        ``(N, out_size, in_size)``, each row summing to 1.
    """
    scale = length.float() / out_size
    outputs = torch.arange(out_size, device=start.device) + 0.5
    pixels = torch.arange(in_size, device=start.device)
    centre = start[:, None] + scale[:, None] * outputs
    distance = (pixels + 0.5 - centre[:, :, None]).abs() / scale.clamp(min=1.0)[:, None, None]
    inside = (pixels >= start[:, None]) & (pixels < (start + length)[:, None])
    weights = (1 - distance).clamp_(min=0) * inside[:, None, :]
    return weights / weights.sum(dim=2, keepdim=True)


def apply_to_lines(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Multiply each image by one matrix along its height and one along its width.

    Args:
        images: ``(N, C, H, W)``.
        rows: ``(N, H', H)``.
        columns: ``(N, W', W)``.

    Returns:
        ``(N, C, H', W')``.
    """
    count, channels, height, width = images.shape
    across = torch.bmm(images.reshape(count, channels * height, width), columns.mT)
    across = across.reshape(count, channels, height, -1)
    if channels == 1:
        return torch.bmm(rows, across[:, 0])[:, None]
    return torch.matmul(rows[:, None], across)


def resized_crop(
    images: Tensor, top: Tensor, left: Tensor, height: Tensor, width: Tensor, size: int
) -> Tensor:
    """Crop each image and resize the crop to ``(size, size)``, bilinear, antialiased.

    Args:
        images: ``(N, C, H, W)``.
        top: first row of each crop, ``(N,)``.
        left: first column, ``(N,)``.
        height: rows of the crop, ``(N,)``.
        width: columns of the crop, ``(N,)``.
        size: height and width of the result in pixels.
    """
    rows = resample_matrix(top, height, images.shape[2], size)
    columns = resample_matrix(left, width, images.shape[3], size)
    return apply_to_lines(images, rows, columns)


def hflip(images: Tensor) -> Tensor:
    """Mirror left and right."""
    return images.flip(3)


def _factors(values: Tensor) -> Tensor:
    return values[:, None, None, None]


def rgb_to_grayscale(images: Tensor) -> Tensor:
    """Return the luma of RGB images, ``(N, 1, H, W)``; grey images as they are."""
    if images.shape[1] == 1:
        return images
    weights = torch.tensor(GREY_WEIGHTS, device=images.device, dtype=images.dtype)
    return torch.einsum("nchw,c->nhw", images, weights)[:, None]


def adjust_brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Multiply by ``factor`` ``(N,)``, clamped to [0, 1]."""
    return (images * _factors(factor)).clamp_(0, 1)


def adjust_contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Move away from the image's mean luma by ``factor`` ``(N,)``."""
    mean = rgb_to_grayscale(images).mean(dim=(1, 2, 3), keepdim=True)
    return torch.lerp(mean, images, _factors(factor)).clamp_(0, 1)


def adjust_saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Move away from the pixel's luma by ``factor`` ``(N,)``; grey images as they are."""
    if images.shape[1] == 1:
        return images
    return torch.lerp(rgb_to_grayscale(images), images, _factors(factor)).clamp_(0, 1)


def adjust_hue(images: Tensor, factor: Tensor) -> Tensor:
    """Turn the hue by ``factor`` ``(N,)`` of a full circle; grey images as they are."""
    if images.shape[1] == 1:
        return images
    value, brightest = images.max(dim=1)
    spread = value - images.amin(dim=1)
    colourless = spread == 0
    divisor = torch.where(colourless, torch.ones_like(spread), spread)
    red, green, blue = images.unbind(1)
    sixth = torch.stack([(green - blue), (blue - red), (red - green)], dim=1) / divisor[:, None]
    sixth = sixth + torch.tensor([0.0, 2.0, 4.0], device=images.device)[:, None, None]
    hue = sixth.gather(1, brightest[:, None]).squeeze(1) / 6
    hue = torch.where(colourless, torch.zeros_like(hue), hue)
    hue = (hue + factor[:, None, None]) % 1
    # Back to RGB: each channel is the value less a trapezoid of the hue (HSV, closed form).
    offsets = torch.tensor([5.0, 3.0, 1.0], device=images.device)[:, None, None]
    angle = (offsets + hue[:, None] * 6) % 6
    return value[:, None] - spread[:, None] * torch.minimum(angle, 4 - angle).clamp_(0, 1)


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
    matrices = []
    for size in images.shape[2:]:
        source = (torch.arange(size, device=images.device)[:, None] + offsets).abs()
        source = torch.where(source >= size, 2 * (size - 1) - source, source)
        matrix = torch.zeros(len(images), size, size, device=images.device)
        index = source.expand(len(images), -1, -1)
        matrices.append(matrix.scatter_add_(2, index, kernel[:, None].expand_as(index)))
    return apply_to_lines(images, matrices[0], matrices[1])


def solarize(images: Tensor, threshold: float) -> Tensor:
    """Invert the pixels at or above ``threshold``."""
    return torch.where(images >= threshold, 1 - images, images)
