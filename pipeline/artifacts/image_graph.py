"""From the pixels of a file to the network's input, as a network that ONNX can hold.

Pillow resizes in whole numbers: along rows, then along columns, each with weights of 22 binary
places and rounded to bytes. Here the same sums are products with two matrices in float64, which
holds all of them without rounding, so the bytes are Pillow's own. ONNX's own Resize does not
round in between.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from pipeline.artifacts.encoder import Preprocessing
from pipeline.data.augmentation.resampling import resample_matrix
from pipeline.data.canvas import MAX_ELONGATION, MAX_IN_PROPORTION
from pipeline.data.interpolation import Interpolation
from pipeline.data.luminance import LUMINANCE

WEIGHT_UNIT = 2**22  # Pillow's weights are multiples of its inverse
REACH = {"bilinear": 1, "bicubic": 2}  # of the filters, in pixels


class Span(NamedTuple):
    """A span of a line of pixels that is resized, all float64 scalars.

    Attributes:
        start: its first pixel.
        length: its pixels.
        resized: how many pixels it becomes.
    """

    start: Tensor
    length: Tensor
    resized: Tensor


def pillow_weights(
    span: Span, first: Tensor, count: int, pixels: Tensor, interpolation: Interpolation
) -> Tensor:
    """Return the weights by which Pillow resizes a line, times ``WEIGHT_UNIT``, whole numbers.

    Args:
        span: what is resized; pixels beyond it count, as far as the filter reaches.
        first: the first pixel of the result that is wanted.
        count: how many of them are.
        pixels: 0, 1, 2, ... for each pixel of the line, float64 ``(L,)``.
        interpolation: the filter.

    Returns:
        Float64 ``(count, L)``.
    """
    scale = span.length / span.resized
    stretch = scale.clamp(min=1.0)
    centre = span.start + (first + torch.arange(count, dtype=torch.float64) + 0.5) * scale
    distance = ((pixels + 0.5 - centre[:, None]) / stretch).abs()
    if interpolation == "bicubic":
        near = (1.5 * distance - 2.5) * distance * distance + 1
        far = ((2.5 - 0.5 * distance) * distance - 4) * distance + 2
        shape = torch.where(distance < 1, near, far)
    else:
        shape = 1 - distance
    weights = torch.where(distance < REACH[interpolation], shape, 0.0)
    # Of a pixel beyond the line nothing is asked but that it is a number.
    beyond = (centre > pixels[-1] + 1)[:, None]
    weights = weights / torch.where(beyond, 1.0, weights.sum(dim=1, keepdim=True))
    # To the nearest, halves away from 0.
    return weights.sign() * (weights.abs() * WEIGHT_UNIT + 0.5).floor()


def resize_line(lines: Tensor, weights: Tensor) -> Tensor:
    """Return resized lines as bytes in float64 ``(..., count)``.

    Args:
        lines: bytes in float64 ``(..., L)``.
        weights: as ``pillow_weights`` returns them, ``(count, L)``.
    """
    sums = (lines @ weights.T + WEIGHT_UNIT // 2) / WEIGHT_UNIT
    return sums.floor().clamp(0, 255)


class FilePixels(nn.Module):
    """The pixels that the pipeline's decoder makes of a file, and their centre.

    Args:
        how: the decoding.
    """

    def __init__(self, how: Preprocessing) -> None:
        super().__init__()
        self.how = how

    def forward(self, images: Tensor) -> Tensor:
        """Return what the network sees, in [0, 255], float ``(N, C, size, size)``.

        Args:
            images: uint8 ``(N, H, W, 4)``: red, green, blue, alpha; of any height and width.
        """
        pixels = self._composite(images.permute(0, 3, 1, 2).float()).double()
        down, across = (torch.arange(side, dtype=torch.float64) for side in images.shape[1:3])
        height, width = down[-1] + 1, across[-1] + 1
        if self.how.keep == "square":
            pixels = self._crop_square(pixels, down, across, torch.minimum(height, width))
        else:
            pixels = self._crop_whole(pixels, down, across, height, width)
        return self._convert(pixels.float())

    def _composite(self, rgba: Tensor) -> Tensor:
        """Return the pixels on the background ``(N, 3, H, W)``, rounded as Pillow rounds them."""
        alpha, behind = rgba[:, 3:], torch.tensor(self.how.background).float()[:, None, None]
        # All below 2^24: float32 holds the whole numbers.
        mixed = 128 * (rgba[:, :3] * alpha + behind * (255 - alpha) + 128)
        mixed = (((mixed / 256).floor() + mixed) / 256).floor()
        return (mixed / 128).floor()

    def _crop_square(self, pixels: Tensor, down: Tensor, across: Tensor, side: Tensor) -> Tensor:
        """Resize the central square, and take its centre."""
        size, resize = self.how.image_size, torch.tensor(float(self.how.resize)).double()
        first = torch.tensor(float((self.how.resize - size) // 2)).double()
        weights = []
        for line in (down, across):
            span = Span(((line[-1] + 1 - side) / 2).floor(), side, resize)
            weights.append(pillow_weights(span, first, size, line, self.how.interpolation))
        return self._resize(pixels, *weights)

    def _crop_whole(
        self, pixels: Tensor, down: Tensor, across: Tensor, height: Tensor, width: Tensor
    ) -> Tensor:
        """Resize the whole image as ``pipeline.data.canvas`` has it, and take its centre.

        Pillow makes only the pixels that the centre needs; of a squeezed image these are stretched
        again.
        """
        size, side = self.how.image_size, torch.tensor(float(self.how.resize)).double()
        longer, shorter = torch.maximum(height, width), torch.minimum(height, width)
        in_proportion = (side * longer / shorter).round().clamp(max=MAX_IN_PROPORTION)
        in_proportion = torch.maximum(in_proportion, side)
        on_canvas = in_proportion.clamp(max=MAX_ELONGATION * self.how.resize)
        weights, stretches = [], []
        for line, length in ((down, height), (across, width)):
            is_longer = length > shorter
            resized = torch.where(is_longer, on_canvas, side)
            proportion = torch.where(is_longer, in_proportion, side)
            squeeze = resized / proportion
            start = torch.minimum(((proportion - size) / 2).floor() * squeeze, resized - 1)
            taken = torch.minimum((size * squeeze).clamp(min=1), resized - start)
            first, count = start.floor(), size + 1
            span = Span(torch.zeros_like(length), length, resized)
            weights.append(pillow_weights(span, first, count, line, self.how.interpolation))
            stretches.append(
                resample_matrix((start - first)[None].float(), taken[None].float(), count, size)
            )
        cropped = self._resize(pixels, *weights).float()
        rows, columns = stretches
        return rows @ (cropped @ columns.mT)

    def _resize(self, pixels: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """Return the resized pixels ``(N, 3, ...)``: first along rows, as Pillow."""
        across = resize_line(pixels, columns)
        return resize_line(across.mT, rows).mT

    def _convert(self, pixels: Tensor) -> Tensor:
        """Return the pixels in the network's channels, float ``(N, C, size, size)``."""
        if self.how.channels == 3:
            return pixels
        red, green, blue = (pixels[:, place] * share for place, share in enumerate(LUMINANCE))
        return ((red + green + blue + 2**15) / 2**16).floor()[:, None]
