"""The sheet of augmented views: a strip of images and their views for each task."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin, UnidentifiedImageError

from pipeline.artifacts.remedy import name_remedy
from pipeline.artifacts.split import Split, split_digest
from pipeline.errors import RunError, explain_unreadable
from pipeline.files.atomic import read_content, write_bytes
from pipeline.files.sealed_json import digest, dump_json

# Pillow reads no further than this chunk's name.
LAST_CHUNK = b"\0\0\0\0IEND\xaeB`\x82"
REMEDY = name_remedy("cassle evaluate")


def describe_sheet(plan: str, splits: Sequence[Split]) -> str:
    """The digest of all that the sheet is made from.

    Args:
        plan: the digest of the plan of the views.
        splits: of all tasks.
    """
    return digest({"plan": plan, "splits": [split_digest(split) for split in splits]})


def read_view_strips(path: Path, num_tasks: int, plan: str) -> list[bytes] | None:
    """The strip of each task as PNG; None where there is no sheet.

    Args:
        path: the sheet.
        num_tasks: how many strips the sheet has, of equal height.
        plan: the digest of all that it has to be made from.

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
    except PermissionError as error:
        raise RunError(explain_unreadable(path, error)) from error
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError) as error:
        raise RunError(f"{path} is no image or is damaged ({error}); {REMEDY}") from error


def _png(image: Image.Image) -> bytes:
    content = io.BytesIO()
    image.save(content, format="png", optimize=True)
    return content.getvalue()


def write_view_sheet(path: Path, strips: Sequence[NDArray[np.uint8]], plan: str) -> None:
    """Write strips below each other as one PNG.

    Args:
        path: where to.
        strips: uint8 ``(height, width, 4)``, one a task; narrow ones are filled up.
        plan: the digest of all that it is made from, which goes into the file.

    Raises:
        RunError: it cannot be written.
    """
    text = PngImagePlugin.PngInfo()
    text.add_text("cassle", dump_json({"plan": plan}))
    content = io.BytesIO()
    Image.fromarray(_stack(strips), "RGBA").save(content, format="png", pnginfo=text)
    write_bytes(path, content.getvalue())


def _stack(strips: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """The strips below each other, filled up with transparent pixels to the same size."""
    height, width = (max(strip.shape[axis] for strip in strips) for axis in (0, 1))
    sheet = np.zeros((len(strips), height, width, 4), np.uint8)
    for place, strip in zip(sheet, strips, strict=True):
        place[: strip.shape[0], : strip.shape[1]] = strip
    return sheet.reshape(-1, width, 4)
