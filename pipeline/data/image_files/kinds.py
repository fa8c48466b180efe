"""Which image files are read, and how a file becomes the network's input."""

from __future__ import annotations

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")  # as Pillow names them
KINDS = "JPEG, PNG, WebP, BMP or TIFF"  # the same in words


def describe_decoding(
    resize: int, image_size: int, background: tuple[int, int, int], interpolation: str
) -> list[str]:
    """Return the steps from a file to the pixels that the network is given, in words.

    Args:
        resize: the shorter side in pixels after resizing.
        image_size: height and width in pixels of what the network sees.
        background: the color behind transparent pixels, red, green and blue.
        interpolation: bilinear or bicubic.
    """
    steps = [
        "of several frames the first is taken",
        "turned upright by the orientation tag (EXIF or XMP)",
        "reduced to 8 bits a channel: 16-bit values by their higher byte",
        f"transparency composited on the color {tuple(background)}",
        "converted to RGB, without regard to color profiles",
        f"the central square is resized to {resize}×{resize} pixels, {interpolation}, with "
        "antialiasing",
    ]
    if image_size < resize:
        steps.append(f"its central {image_size}×{image_size} pixels are cropped")
    return steps
