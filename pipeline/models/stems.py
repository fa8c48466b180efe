"""The stems that a backbone can begin with, named without importing torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Stem = Literal["conv3", "conv3_padding2", "conv3_stride2", "conv7_maxpool"]


@dataclass(frozen=True)
class StemLayers:
    """A convolution, a norm, ReLU and maybe a max-pool.

    Attributes:
        kernel: height and width of the convolution's kernel.
        stride: of the convolution.
        padding: pixels that the convolution adds on each side.
        max_pool: whether a max-pool of 3×3 pixels, stride 2 and padding 1 follows.
    """

    kernel: int
    stride: int
    padding: int
    max_pool: bool = False


STEMS: dict[str, StemLayers] = {
    "conv3": StemLayers(3, 1, 1),  # keeps the resolution: the usual one for images of 32 pixels
    "conv3_padding2": StemLayers(3, 1, 2),  # the reference's: maps of 34, 17, 9 and 5 pixels of 32
    "conv3_stride2": StemLayers(3, 2, 1),  # halves it: a quarter of the arithmetic
    "conv7_maxpool": StemLayers(7, 2, 3, max_pool=True),  # ImageNet's: divides it by four
}
