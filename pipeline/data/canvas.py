"""Whole images of different shapes in arrays of one shape, so that a batch is one array.

A whole image has its shorter side resized to ``side`` pixels and its longer side in proportion,
but to at most ``MAX_ELONGATION`` times as much: beyond that it is squeezed along its length, which
bounds the memory, and no end of it is cut off. It stands on its shorter side, a wide one turned by
swapping rows and columns, below the first row of a canvas. That row says what is needed to use it:
its length on the canvas, the length in proportion, and whether it is a wide one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
MAX_ELONGATION = 3  # longer side over shorter: 1.3 to 2 of most photographs, more of infographics
HEADER = np.dtype([("length", "<u2"), ("in_proportion", "<u4"), ("wide", "u1"), ("unused", "u1")])
MAX_IN_PROPORTION = 2**24  # float32 holds whole numbers up to here


class WholeImage(NamedTuple):
    """A whole image that stands on its shorter side.

    Attributes:
        pixels: uint8 ``(length, side, 3)``; of a wide image its rows are the columns.
        in_proportion: its length in pixels if it were not squeezed.
        wide: whether its width is the longer side.
    """

    pixels: Bytes
    in_proportion: int
    wide: bool


def canvas_shape(side: int) -> tuple[int, int]:
    """Return height and width of a canvas, in pixels."""
    return 1 + MAX_ELONGATION * side, side


def fit_length(side: int, shorter: int, longer: int) -> tuple[int, int]:
    """Return the length of a whole image on its canvas, and the one in proportion, in pixels.

    Args:
        side: the shorter side on the canvas.
        shorter: the shorter side in the file.
        longer: the longer side in the file.
    """
    in_proportion = min(max(side, round(side * longer / shorter)), MAX_IN_PROPORTION)
    return min(in_proportion, MAX_ELONGATION * side), in_proportion


def begin_canvas(image: WholeImage) -> Bytes:
    """Return the rows of a canvas that an image fills, ``(1 + length, side, 3)``."""
    length, side, _ = image.pixels.shape
    filled = np.zeros((1 + length, side, 3), np.uint8)
    header = np.array([(length, image.in_proportion, image.wide, 0)], HEADER)
    filled[0].reshape(-1)[: HEADER.itemsize] = header.view(np.uint8)
    filled[1:] = image.pixels
    return filled


def lay_on_canvases(squares: Bytes) -> Bytes:
    """Return square images on canvases, uint8 ``(N, 3, 1 + MAX_ELONGATION · side, side)``.

    Args:
        squares: uint8 ``(N, 3, side, side)``.
    """
    side = squares.shape[-1]
    canvases = np.zeros((len(squares), *canvas_shape(side), 3), np.uint8)
    for canvas, image in zip(canvases, squares.transpose(0, 2, 3, 1), strict=True):
        canvas[: 1 + side] = begin_canvas(WholeImage(image, side, False))
    return canvases.transpose(0, 3, 1, 2)
