"""Crops of a whole batch, each image with its own, resized to one size.

A crop is a product with one small matrix an image and axis, so a batch costs two batched
multiplications. In the resulting colour images the planes of all images lie beside each other in
memory (red, then green, then blue): operations that mix colours then run over whole planes.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from pipeline.data.interpolation import Interpolation

MAX_TABLE_NUMBERS = 2**23  # of a table of all crops: enough for images of up to 45 pixels
ROUNDING = 1e-3  # of a pixel, in an interval's ends


def resample_matrix(
    start: Tensor,
    length: Tensor,
    in_size: int,
    out_size: int,
    interpolation: Interpolation = "bilinear",
) -> Tensor:
    """Return the antialiased weights that resample intervals of a line.

    The filter is a triangle, or Keys' cubic with a = -1/2 as Pillow has it, stretched to an
    output pixel (at least one input pixel), centred on each output pixel, cut at the interval's
    ends and normalised.

    Args:
        start: first input pixel of each image's interval, ``(N,)``; may lie inside a pixel.
        length: its number of pixels, ``(N,)``; need not be whole.
        in_size: length of the whole line in pixels.
        out_size: length of the result in pixels.
        interpolation: which of the two filters.

    Returns:
        ``(N, out_size, in_size)``, each row summing to 1.
    """
    scale = length.float() / out_size
    outputs = torch.arange(out_size, device=start.device) + 0.5
    pixels = torch.arange(in_size, device=start.device)
    centre = start[:, None] + scale[:, None] * outputs
    first, end = (start + ROUNDING).floor(), (start + length - ROUNDING).ceil()
    inside = (pixels >= first[:, None]) & (pixels < end[:, None])
    distance = (pixels + 0.5 - centre[:, :, None]).abs_().div_(scale.clamp(min=1.0)[:, None, None])
    weights = (
        _cubic(distance) if interpolation == "bicubic" else distance.neg_().add_(1).clamp_(min=0)
    )
    weights.mul_(inside[:, None, :].float())
    return weights.div_(weights.sum(dim=2, keepdim=True))


def _cubic(distance: Tensor) -> Tensor:
    """Return Keys' cubic convolution kernel with a = -1/2 at distances of 0 or more."""
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    return torch.where(distance < 1, near, torch.where(distance < 2, far, 0))


@functools.lru_cache(maxsize=4)
def _all_intervals(
    in_size: int, out_size: int, device: torch.device, interpolation: Interpolation
) -> Tensor:
    """Return the weights of every interval of a line, by first pixel and length.

    The mirrored weights of all intervals follow after the plain ones.
    """
    pixels = torch.arange(in_size, device=device)
    start, length = torch.cartesian_prod(pixels, pixels + 1).unbind(1)
    straight = resample_matrix(start, length, in_size, out_size, interpolation)
    return torch.cat([straight, straight.flip(1)])


def interval_matrices(
    start: Tensor,
    length: Tensor,
    in_size: int,
    out_size: int,
    interpolation: Interpolation,
    mirrored: Tensor | None = None,
) -> Tensor:
    """Return ``resample_matrix(...)``, from a table of all intervals if that is small.

    Args:
        start: first input pixel of each image's interval, ``(N,)``.
        length: its number of pixels, ``(N,)``.
        in_size: length of the whole line in pixels.
        out_size: length of the result in pixels.
        interpolation: bilinear or bicubic.
        mirrored: which intervals are mirrored, bool ``(N,)``; None: none.
    """
    if start.is_floating_point() or 2 * in_size**3 * out_size > MAX_TABLE_NUMBERS:
        matrices = resample_matrix(start, length, in_size, out_size, interpolation)
        if mirrored is None:
            return matrices
        return torch.where(mirrored[:, None, None], matrices.flip(1), matrices)
    intervals = _all_intervals(in_size, out_size, start.device, interpolation)
    place = start * in_size + length - 1
    if mirrored is not None:
        place += mirrored * in_size**2
    return intervals.index_select(0, place)


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
    if channels == 1:
        across = torch.bmm(images.reshape(count, height, width), columns.mT)
        return torch.bmm(rows, across)[:, None]
    beside = images.transpose(1, 2).reshape(count, height, channels * width)
    down = torch.bmm(rows, beside).reshape(count, -1, channels, width)
    planes = images.new_empty(channels, count, rows.shape[1], columns.shape[1])
    for channel in range(channels):
        torch.bmm(down[:, :, channel], columns.mT, out=planes[channel])
    return planes.transpose(0, 1)


def resized_crop(
    images: Tensor,
    top: Tensor,
    left: Tensor,
    height: Tensor,
    width: Tensor,
    size: int,
    mirrored: Tensor | None = None,
    interpolation: Interpolation = "bilinear",
) -> Tensor:
    """Crop each image and resize the crop to ``(size, size)``, antialiased.

    Args:
        images: ``(N, C, H, W)``.
        top: first row of each crop, ``(N,)``.
        left: first column, ``(N,)``.
        height: rows of the crop, ``(N,)``.
        width: columns of the crop, ``(N,)``.
        size: height and width of the result in pixels.
        mirrored: which results are flipped horizontally, bool ``(N,)``; None: none.
        interpolation: bilinear, or bicubic and then cut to [0, 1], which that exceeds at edges.
    """
    rows = interval_matrices(top, height, images.shape[2], size, interpolation)
    columns = interval_matrices(left, width, images.shape[3], size, interpolation, mirrored)
    resized = apply_to_lines(images, rows, columns)
    return resized.clamp_(0, 1) if interpolation == "bicubic" else resized
