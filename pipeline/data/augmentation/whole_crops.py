"""Crops of whole images on canvases; see ``pipeline.data.canvas``.

Where a crop lies depends on each image's shape, which is read and used on the images' device, so
that a GPU is not waited for. Roots and quotients are rounded alike everywhere, so the crops are
the same on every device.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from pipeline.data.augmentation.recipe import ASPECT_RATIOS, CROP_TRIES
from pipeline.data.augmentation.resampling import resized_crop
from pipeline.data.canvas import HEADER
from pipeline.data.interpolation import Interpolation


class Shapes(NamedTuple):
    """The shapes of whole images.

    Attributes:
        side: the shorter side of all, in pixels.
        length: the longer side of each on its canvas, float ``(N,)``.
        in_proportion: the longer side in proportion, float ``(N,)``.
        wide: whether that is the width, bool ``(N,)``.
    """

    side: int
    length: Tensor
    in_proportion: Tensor
    wide: Tensor

    def height(self) -> Tensor:
        """Return the height of each image in proportion, float ``(N,)``."""
        return torch.where(self.wide, self.side, self.in_proportion)

    def width(self) -> Tensor:
        """Return the width of each image in proportion, float ``(N,)``."""
        return torch.where(self.wide, self.in_proportion, self.side)


def read_shapes(canvases: Tensor) -> Shapes:
    """Return the shapes of the images on canvases, uint8 ``(N, 3, H, side)``."""
    header = canvases[:, :, 0].transpose(1, 2).flatten(1)[:, : HEADER.itemsize].long()

    def number(name: str) -> Tensor:
        assert HEADER.fields is not None, "a header has fields"
        kind, offset = HEADER.fields[name][:2]
        places = torch.arange(kind.itemsize, device=header.device)
        return (header[:, offset : offset + kind.itemsize] << (8 * places)).sum(dim=1).float()

    side = canvases.shape[3]
    return Shapes(side, number("length"), number("in_proportion"), number("wide") > 0)


def choose_crops(numbers: Tensor, height: Tensor, width: Tensor) -> Tensor:
    """Return top, left, height and width of a crop of each image, float ``(4, N)``.

    As ``CropNumbers.crops`` does for images of one shape.

    Args:
        numbers: as ``CropNumbers.numbers`` returns them for a view, ``(2 · CROP_TRIES + 2, N)``.
        height: of each image, float ``(N,)``.
        width: of each image, float ``(N,)``.
    """
    area, ratio = numbers[:CROP_TRIES] * (height * width), numbers[CROP_TRIES:-2]
    position = numbers[-2:]
    limits = torch.stack([height, width])
    sides = torch.stack([area / ratio, area * ratio]).sqrt_().round_()  # (2, CROP_TRIES, N)
    fits = ((sides > 0) & (sides <= limits[:, None])).all(dim=0)
    first = fits.byte().argmax(dim=0)
    lengths = sides.gather(1, first.expand(2, 1, -1))[:, 0]
    bounds = torch.stack([width / ASPECT_RATIOS[0], height * ASPECT_RATIOS[1]]).round_()
    fallback = torch.minimum(limits, bounds)
    fitted = fits.any(dim=0)
    lengths = torch.where(fitted, lengths, fallback)
    starts = torch.where(fitted, position, 0.5) * (limits + 1 - lengths)
    return torch.cat([starts.floor(), lengths])


def crop_whole(
    images: Tensor,
    shapes: Shapes,
    crops: Tensor,
    size: int,
    mirrored: Tensor | None = None,
    interpolation: Interpolation = "bilinear",
) -> Tensor:
    """Crop each whole image and resize the crop to ``(size, size)``, antialiased.

    Args:
        images: those of canvases without their first row, float ``(N, 3, H, side)`` in [0, 1].
        shapes: of the images.
        crops: top, left, height and width of each image's crop in proportion, float ``(4, N)``.
        size: height and width of the result in pixels.
        mirrored: which results are flipped horizontally, bool ``(N,)``; None: none.
        interpolation: the filter.

    Returns:
        ``(N, 3, size, size)``, wide images wide again.
    """
    down, across = crops[0::2], crops[1::2]  # start and length each
    start, length = torch.where(shapes.wide, across, down)
    first, breadth = torch.where(shapes.wide, down, across)
    squeeze = shapes.length / shapes.in_proportion
    # At least one pixel of the canvas, and none beyond the image.
    start = torch.minimum(start * squeeze, shapes.length - 1)
    length = torch.minimum((length * squeeze).clamp(min=1), shapes.length - start)
    flip = None if mirrored is None else mirrored & ~shapes.wide
    view = resized_crop(images, start, first, length, breadth, size, flip, interpolation)
    planes = view.transpose(0, 1)
    planes = torch.where(shapes.wide[:, None, None], planes.mT, planes)
    if mirrored is not None:
        turned = (mirrored & shapes.wide)[:, None, None]
        planes = torch.where(turned, planes.flip(-1), planes)
    return planes.transpose(0, 1)


def central_crops(shapes: Shapes, size: int) -> Tensor:
    """Return the central crops of ``size`` pixels, as ``crop_whole`` takes crops."""
    height, width = shapes.height(), shapes.width()
    lengths = torch.full_like(height, size)
    starts = [((side - size) / 2).floor() for side in (height, width)]
    return torch.stack([*starts, lengths, lengths])
