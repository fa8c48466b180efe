"""Which image files are read, and how a file becomes the network's input."""

from __future__ import annotations

from pipeline.data.canvas import MAX_ELONGATION
from pipeline.data.image_files.file_options import FileOptions

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")  # as Pillow names them
KINDS = "JPEG, PNG, WebP, BMP or TIFF"  # the same in words


def describe_decoding(files: FileOptions, image_size: int) -> list[str]:
    """Return the steps from a file to the pixels that the network is given, in words.

    Args:
        files: how files are read.
        image_size: height and width in pixels of what the network sees.
    """
    steps = [
        "of several frames the first is taken",
        "turned upright by the orientation tag (EXIF or XMP)",
        "reduced to 8 bits a channel: values of 12 or 16 bits by their highest",
        f"transparency composited on the color {tuple(files.background)}",
        "converted to RGB, without regard to color profiles",
    ]
    resize, how = files.resize, f"{files.interpolation}, with antialiasing"
    if files.keep == "whole":
        return [
            *steps,
            f"the shorter side is resized to {resize} pixels, the longer one in proportion, {how}; "
            f"a longer one above {MAX_ELONGATION * resize} pixels is resized to these, and what is "
            "cropped then stretched, bilinear",
            f"the central {image_size}×{image_size} pixels are cropped",
        ]
    steps.append(f"the central square is resized to {resize}×{resize} pixels, {how}")
    if image_size < resize:
        steps.append(f"its central {image_size}×{image_size} pixels are cropped")
    return steps
