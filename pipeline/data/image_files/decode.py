"""Image files as squares of bytes.

Pillow decodes: as fast as torchvision's decoders, which are deprecated (torchvision 0.29), and
without torch, so that prepare starts at once. Its decoders and its resampling leave Python's
lock, so threads keep all cores busy.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from pipeline.data.source import Bytes

MIN_SIDE = 4  # pixels; what is smaller shows nothing
DECODER_VERSION = (
    1  # of what the functions here make of a file: a number more, and stores are made anew
)


class BadImageError(Exception):
    """A file that holds no image that can be used; the message says why."""


def read_square(path: Path, size: int) -> Bytes:
    """Return an image's central square, resized: ``(size, size, 3)``.

    Bilinear and antialiased. Grey images get three equal channels, opacity is dropped, 16 bits
    become 8, and a photograph is turned as its EXIF tag says.

    Args:
        path: a JPEG or PNG file.
        size: height and width of the result in pixels.

    Raises:
        BadImageError: the file cannot be read, is no JPEG or PNG, is damaged, or the image is
            smaller than 4 pixels.
    """
    try:
        with Image.open(path, formats=("JPEG", "PNG")) as image:
            if min(image.size) < MIN_SIDE:
                raise BadImageError(
                    f"of {image.width}×{image.height} pixels, {MIN_SIDE} or more are needed"
                )
            # JPEG alone: decodes at a half, a quarter or an eighth where that is enough.
            image.draft("RGB", (size, size))
            whole = _to_rgb(ImageOps.exif_transpose(image) if "exif" in image.info else image)
            side = min(whole.size)
            left, top = (whole.width - side) // 2, (whole.height - side) // 2
            square = whole
            if whole.size != (size, size):
                box = (left, top, left + side, top + side)
                square = whole.resize((size, size), Image.Resampling.BILINEAR, box)
            return np.asarray(square)
    except UnidentifiedImageError:
        raise BadImageError("no JPEG or PNG image") from None
    except Image.DecompressionBombError as error:
        raise BadImageError("of too many pixels") from error
    except (OSError, ValueError, SyntaxError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise BadImageError(f"damaged or unreadable ({reason})") from error


def _to_rgb(image: Image.Image) -> Image.Image:
    """Return the image as RGB of 8 bits."""
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image).astype(np.int64) >> 8).astype(np.uint8))
    elif image.mode == "P":
        image = image.convert("RGBA")
    return image if image.mode == "RGB" else image.convert("RGB")
