"""Cut the sheet of augmented views into one strip a task."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin, UnidentifiedImageError

from pipeline.errors import RunError
from pipeline.files.atomic import read_content

# Pillow reads no further than this chunk's name.
LAST_CHUNK = b"\0\0\0\0IEND\xaeB`\x82"
REMEDY = "run `cassle views` first (or `dvc repro`)"


def read_view_strips(path: Path, num_tasks: int, plan: str) -> list[bytes] | None:
    """Return each task's strip as PNG; None where there is no sheet.

    Args:
        path: what the stage ``views`` wrote.
        num_tasks: how many strips the sheet has, of equal height.
        plan: the digest of that stage's slot.

    Raises:
        RunError: damaged, or of another plan.
    """
    if not path.is_file():
        return None
    try:
        content = read_content(path)
        if not content.endswith(LAST_CHUNK):
            raise ValueError("its end is not that of a PNG")
        with Image.open(io.BytesIO(content), formats=["PNG"]) as sheet:
            sheet.verify()  # every chunk's checksum
        with Image.open(io.BytesIO(content), formats=["PNG"]) as sheet:
            sheet.load()
            made_by = json.loads(str(sheet.info.get("cassle", "{}"))).get("plan")
            width, height = sheet.size
            if made_by != plan or height % num_tasks:
                raise RunError(
                    f"{path} is of another plan (augmentation, data or code changed); {REMEDY}"
                )
            step = height // num_tasks
            return [_png(sheet.crop((0, top, width, top + step))) for top in range(0, height, step)]
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError) as error:
        raise RunError(f"{path} is no image or is damaged ({error}); {REMEDY}") from error


def _png(image: Image.Image) -> bytes:
    content = io.BytesIO()
    image.save(content, format="png", optimize=True)
    return content.getvalue()


def sheet_png(strips: Sequence[NDArray[np.uint8]], origin: str) -> bytes:
    """Return strips below each other as PNG, with ``origin`` as its text ``cassle``."""
    text = PngImagePlugin.PngInfo()
    text.add_text("cassle", origin)
    content = io.BytesIO()
    Image.fromarray(np.concatenate(strips), "RGBA").save(content, format="png", pnginfo=text)
    return content.getvalue()
