"""Strips of training images and their augmented views, for a preview."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from pipeline.data.augmentation.augment import Augment

MAX_IMAGES = 40  # on the whole sheet, so that its size does not grow with the number of tasks
MAX_PER_TASK = 8
MAX_SIDE = 48  # larger views are shrunk for display
GAP = 2


def images_per_task(num_tasks: int) -> int:
    """Return the number of images of each task on the sheet."""
    return max(2, min(MAX_PER_TASK, MAX_IMAGES // num_tasks))


def choose_images(count: int, labels: Sequence[int], most: int) -> NDArray[np.int64]:
    """Return which images of a task are shown, ``(N,)``: spread over its classes and over each.

    Args:
        count: the number of the task's images.
        labels: their labels; none where there are none.
        most: how many are shown at most.
    """
    groups = [np.flatnonzero(np.array(labels) == label) for label in sorted(set(labels))]
    if not groups:
        groups = [np.arange(count)]
    groups = [groups[place] for place in _spread(len(groups), most)]
    shown = [0] * len(groups)
    # In turns, as classes may have fewer images than their share.
    for turn in range(most):
        for group, held in enumerate(groups):
            if sum(shown) < most and len(held) > turn:
                shown[group] += 1
    chosen = [held[_spread(len(held), each)] for held, each in zip(groups, shown, strict=True)]
    return np.concatenate(chosen)


def _spread(count: int, most: int) -> NDArray[np.int64]:
    """Return at most ``most`` of so many places, at even distances."""
    kept = min(count, most)
    return np.arange(kept) * count // max(1, kept)


def draw_strip(augment: Augment, images: Tensor, generator: torch.Generator) -> NDArray[np.uint8]:
    """Return a strip with the images in the first row and their views in the rows below.

    Args:
        augment: makes the views.
        images: uint8 ``(N, C, H, W)`` with one channel or three; of whole ones on canvases the
            central squares are shown.
        generator: the CPU generator of the views' random parameters.

    Returns:
        uint8 RGBA ``(3 · (size + GAP), N · (size + GAP), 4)``; the gaps are transparent.
    """
    shown = augment.crop_centers(images, images.shape[3]) if augment.whole else images / 255
    rows = [shown] + [view * augment.std + augment.mean for view in augment(images, generator)]
    size = min(augment.size, MAX_SIDE)
    rows = [_resize(row, size) for row in rows]
    cell = size + GAP
    strip = np.zeros((len(rows) * cell, len(images) * cell, 4), np.uint8)
    for number, row in enumerate(rows):
        pixels = (row.clamp(0, 1) * 255).round().to(torch.uint8)
        pixels = pixels.expand(-1, 3, -1, -1).permute(0, 2, 3, 1)
        for column, image in enumerate(pixels.numpy()):
            top, left = number * cell, column * cell
            strip[top : top + size, left : left + size, :3] = image
            strip[top : top + size, left : left + size, 3] = 255
    return strip


def _resize(images: Tensor, size: int) -> Tensor:
    if images.shape[-2:] == (size, size):
        return images
    return interpolate(images, size=(size, size), mode="bilinear", antialias=True)
