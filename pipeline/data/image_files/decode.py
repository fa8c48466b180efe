"""Decode image files to uint8 arrays: to their central squares, or whole.

Pillow is as fast as torchvision's decoders, which are deprecated (torchvision 0.29), and needs
no torch, so that prepare starts at once. Its decoders and its resampling release Python's
global lock, so threads keep all cores busy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from pipeline.data.canvas import WholeImage, fit_length
from pipeline.data.image_files.file_options import Color
from pipeline.data.image_files.kinds import FORMATS, KINDS
from pipeline.data.interpolation import Interpolation
from pipeline.data.source import Bytes
from pipeline.errors import DataError
from pipeline.files.atomic import is_special

MIN_SIDE = 4  # pixels
RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
# Twice Pillow's own limit, where its warning becomes an error.
MOST_PIXELS = 2 * (Image.MAX_IMAGE_PIXELS or 0)
# TIFF tags, and a value of the second.
BITS_PER_SAMPLE, ZERO_IS, WHITE = 258, 262, 0
DECODER_VERSION = 4  # raise it with every change of the decoded bytes: stores are made anew
Value = TypeVar("Value")


class BadImageError(Exception):
    """A file without a usable image; the message says why."""


def read_square(
    path: Path, size: int, background: Color, interpolation: Interpolation = "bilinear"
) -> Bytes:
    """Return the central square of an image, resized with antialiasing, uint8 ``(size, size, 3)``.

    Grey images get three equal channels, transparency is composited on the background, 12 or 16
    bits become 8 by their highest, and an image is turned upright by its orientation tag.

    Args:
        path: a JPEG, PNG, WebP, BMP or TIFF file; of several frames the first is read.
        size: height and width of the result in pixels.
        background: the color behind transparent pixels.
        interpolation: bilinear or bicubic.

    Raises:
        BadImageError: the file cannot be read, is of another kind, is damaged, or a side of the
            image is below 4 pixels.
        DataError: the memory is too small to decode it.
    """

    def crop(whole: Image.Image) -> Bytes:
        side = min(whole.size)
        left, top = (whole.width - side) // 2, (whole.height - side) // 2
        square = whole
        if whole.size != (size, size):
            box = (left, top, left + side, top + side)
            square = _resize(whole, (size, size), interpolation, box)
        return np.asarray(square)

    return _read(path, size, background, crop)


def read_whole(
    path: Path, size: int, background: Color, interpolation: Interpolation = "bilinear"
) -> WholeImage:
    """Return a whole image, its shorter side resized to ``size`` pixels, with antialiasing.

    Arguments and errors are those of ``read_square``.
    """

    def resize(whole: Image.Image) -> WholeImage:
        length, in_proportion = fit_length(size, min(whole.size), max(whole.size))
        wide = whole.width > whole.height
        shape = (length, size) if wide else (size, length)
        box = (0, 0, whole.width, whole.height)
        resized = whole if whole.size == shape else _resize(whole, shape, interpolation, box)
        pixels = np.asarray(resized)
        return WholeImage(pixels.swapaxes(0, 1) if wide else pixels, in_proportion, wide)

    return _read(path, size, background, resize)


def _read(path: Path, size: int, background: Color, shape: Callable[[Image.Image], Value]) -> Value:
    """Return what ``shape`` makes of an upright RGB image; raises errors as ``read_square``."""
    try:
        return shape(_to_rgb(_load_upright(path, size), background))
    except MemoryError:
        # Not a bad image: another machine may have enough, and must not train on others.
        raise DataError(
            f"{path}: out of memory while it was decoded; end other programs, lower data.workers, "
            "or make the image smaller"
        ) from None
    except (OSError, ValueError, SyntaxError) as error:
        raise _explain_damage(error) from error


def _load_upright(path: Path, size: int) -> Image.Image:
    """Return an image, loaded and turned upright.

    Raises:
        BadImageError: as ``read_square``.
        MemoryError: the memory is too small.
    """
    try:
        if is_special(path):
            raise BadImageError("no regular file")
        with Image.open(path, formats=FORMATS) as image:
            if min(image.size) < MIN_SIDE:
                raise BadImageError(
                    f"of {image.width}×{image.height} pixels, {MIN_SIDE} or more are needed"
                )
            # JPEG only: decodes at a half, a quarter or an eighth of the size if that is enough.
            image.draft("RGB", (size, size))
            image.load()
            _turn_upright(image)
            return image
    except (BadImageError, MemoryError):
        raise
    except UnidentifiedImageError:
        raise BadImageError(f"no {KINDS} image") from None
    except Image.DecompressionBombError as error:
        raise BadImageError(f"of too many pixels; {MOST_PIXELS:,} are allowed") from error
    except Exception as error:  # Pillow raises any on damaged files
        raise _explain_damage(error) from error


def _explain_damage(error: Exception) -> BadImageError:
    reason = getattr(error, "strerror", None) or " ".join(str(error).split())
    return BadImageError(f"damaged or unreadable ({reason})")


def _turn_upright(image: Image.Image) -> None:
    """Turn a loaded image by its orientation tag; one that cannot be read counts as none.

    After loading, as a PNG may name its orientation behind its pixels. Pillow also writes the
    other tags anew, which fails in many ways where one is of a wrong type.
    """
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except MemoryError:
        raise
    except Exception:
        pass


def _resize(
    image: Image.Image,
    size: tuple[int, int],
    interpolation: Interpolation,
    box: tuple[int, int, int, int],
) -> Image.Image:
    """Return a box of an image, resized along rows first.

    In one call it depends on Pillow's version and on the shape which direction comes first, and
    some bytes differ by 1.
    """
    left, top, right, bottom = box
    how = RESAMPLING[interpolation]
    narrowed = image.resize((size[0], image.height), how, (left, 0, right, image.height))
    return narrowed.resize(size, how, (0, top, size[0], bottom))


def _to_rgb(image: Image.Image, background: Color) -> Image.Image:
    """Return the image as 8-bit RGB, with the background behind transparent pixels."""
    if image.mode.startswith(("I", "F")):
        image = _to_8_bits(image)
    if image.has_transparency_data:
        behind = Image.new("RGBA", image.size, background)
        image = Image.alpha_composite(behind, image.convert("RGBA"))
    return image if image.mode == "RGB" else image.convert("RGB")


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Return a grey image of 12 or 16 bits as one of 8, with an alpha channel if a value is clear.

    Raises:
        BadImageError: its values are not those of 16 bits, so that their range is not known.
    """
    values = np.asarray(image)
    if values.dtype.kind == "f" or values.min() < 0 or values.max() > 0xFFFF:
        raise BadImageError(
            "of floating point or 32-bit values, whose range is not known; save it with 8 or 16 "
            "bits"
        )
    tags: Mapping[int, Any] = getattr(image, "tag_v2", {})  # of a TIFF file
    spare = 4 if tags.get(BITS_PER_SAMPLE) == (12,) else 8
    levels = (values.astype(np.int64) >> spare).astype(np.uint8)
    # Pillow turns images whose zero is white only up to 8 bits.
    grey = Image.fromarray(255 - levels if tags.get(ZERO_IS) == WHITE else levels)
    hidden = image.info.get("transparency")
    if hidden is not None:
        opaque = np.where(values == hidden, 0, 255).astype(np.uint8)
        grey.putalpha(Image.fromarray(opaque))
    return grey
