"""The example stream of emoji: colour images with transparency, one vendor a domain."""

from __future__ import annotations

import csv
import hashlib
import io
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.data.source import Bytes
from pipeline.errors import DataError
from pipeline.files.checksum_files import SUMS, read_sums
from pipeline.files.sealed_json import Json
from pipeline.layout import find_shipped

SHEETS = Path("data/emoji")
VENDORS = ("noto", "twemoji", "openmoji", "fluent")
FILES = ("emoji.csv", *(f"{vendor}.webp" for vendor in VENDORS))
SIZE = 32  # pixels of an emoji
PRESET = "own_images_small"
# The params for such a stream over those of the preset, but for data.root. An emoji has one name
# in all vendors' folders, so it is learnt or tested, and not learnt in one and tested in another.
PARAMS: Json = {
    "scenario": "domain",
    "data": {"domains": list(VENDORS), "image_size": SIZE, "holdout_by": "name"},
    "evaluation": {"few_labels": {"labels": 0.1}},
}


def make_files() -> dict[str, bytes]:
    """Return the emoji as PNG by their paths: vendor, class, code points.

    Raises:
        DataError: a sheet is not here, or is not the one that comes with the project.
    """
    sheets = _read_checked()
    table = csv.DictReader(io.StringIO(sheets["emoji.csv"].decode()))
    names = [f"{row['class']}/{row['code_points']}.png" for row in table]
    files = {}
    for vendor in VENDORS:
        cells = cut_cells(sheets[f"{vendor}.webp"])
        for name, cell in zip(names, cells, strict=False):  # the last row is not full
            content = io.BytesIO()
            Image.fromarray(cell).save(content, format="png")
            files[f"{vendor}/{name}"] = content.getvalue()
    return files


def cut_cells(sheet: bytes) -> Bytes:
    """Return the cells of a sheet row after row, uint8 ``(N, 32, 32, 4)``."""
    pixels = np.asarray(Image.open(io.BytesIO(sheet)).convert("RGBA"))
    rows, columns = pixels.shape[0] // SIZE, pixels.shape[1] // SIZE
    cells = pixels.reshape(rows, SIZE, columns, SIZE, 4).swapaxes(1, 2)
    return np.ascontiguousarray(cells.reshape(-1, SIZE, SIZE, 4))


def _read_checked() -> dict[str, bytes]:
    """Return the bytes of all files, checked against SHA256SUMS."""
    remedy = f"restore it: git checkout {SHEETS}"
    try:
        place = find_shipped(SHEETS)
        sums = read_sums(place)
        found = {name: (place / name).read_bytes() for name in FILES}
    except OSError as error:
        raise DataError(f"{error.filename}: {error.strerror}; {remedy}") from error
    for name, content in found.items():
        if hashlib.sha256(content).hexdigest() != sums.get(name):
            raise DataError(f"{SHEETS / name} is not as {SUMS} says; {remedy}")
    return found
