"""Decode image files to square uint8 arrays.

Pillow is as fast as torchvision's decoders, which are deprecated (torchvision 0.29), and needs
no torch, so that prepare starts at once. Its decoders and its resampling release Python's
global lock, so threads keep all cores busy.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from pipeline.data.source import Bytes
from pipeline.errors import DataError

MIN_SIDE = 4  # pixels
DECODER_VERSION = 1  # raise it with every change of the decoded bytes: stores are made anew


class BadImageError(Exception):
    """A file without a usable image; the message says why."""


def read_square(path: Path, size: int) -> Bytes:
    """Return the resized central square of an image, uint8 ``(size, size, 3)``.

    Resized bilinearly with antialiasing. Grey images get three equal channels, opacity is
    dropped, 16 bits become 8, and a photograph is rotated by its EXIF tag.

    Args:
        path: a JPEG or PNG file.
        size: height and width of the result in pixels.

    Raises:
        BadImageError: the file cannot be read, is not a JPEG or PNG, is damaged, or a side of
            the image is below 4 pixels.
        DataError: there is too little memory for it now, which says nothing of the file.
    """
    try:
        with Image.open(path, formats=("JPEG", "PNG")) as image:
            if min(image.size) < MIN_SIDE:
                raise BadImageError(
                    f"of {image.width}×{image.height} pixels, {MIN_SIDE} or more are needed"
                )
            # JPEG only: decodes at a half, a quarter or an eighth of the size if that is enough.
            image.draft("RGB", (size, size))
            whole = _to_rgb(ImageOps.exif_transpose(image) if "exif" in image.info else image)
            side = min(whole.size)
            left, top = (whole.width - side) // 2, (whole.height - side) // 2
            square = whole
            if whole.size != (size, size):
                box = (left, top, left + side, top + side)
                square = whole.resize((size, size), Image.Resampling.BILINEAR, box)
            return np.asarray(square)
    except MemoryError as error:
        raise DataError(
            f"{path}: out of memory while it was decoded; end other programs, lower data.workers, "
            "or make the image smaller"
        ) from error
    except UnidentifiedImageError:
        raise BadImageError("no JPEG or PNG image") from None
    except Image.DecompressionBombError as error:
        raise BadImageError("of too many pixels") from error
    except (OSError, ValueError, SyntaxError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise BadImageError(f"damaged or unreadable ({reason})") from error


def _to_rgb(image: Image.Image) -> Image.Image:
    """Return the image as 8-bit RGB."""
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image).astype(np.int64) >> 8).astype(np.uint8))
    elif image.mode == "P":
        image = image.convert("RGBA")
    return image if image.mode == "RGB" else image.convert("RGB")
