# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy==2.4.6", "pillow==13.0.0", "resvg-py==0.5.0"]
# ///
"""Make the sheets of emoji anew from the packages that hold them.

    uv run data/emoji/make_sheets.py

Needs npm. It installs the packages below into a temporary folder, and writes beside this script
the emoji that all four vendors draw, 32×32 pixels each with their transparency: one lossless sheet
a vendor, `emoji.csv` that names its cells, and SHA256SUMS. Variants in skin tone, gender and
direction are left out, and so is what a vendor draws as it draws another emoji. The files are the
same on every run.
"""

import csv
import hashlib
import io
import json
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import resvg_py
from PIL import Image

PACKAGES = {
    "emoji-datasource-google": "16.0.0",  # Noto's images, and the groups
    "emoji-datasource-twitter": "16.0.0",
    "openmoji": "17.0.0",
    "@iconify-json/fluent-emoji-flat": "1.2.6",
}
CLASSES = {
    "Activities": "activities",
    "Animals & Nature": "animals",
    "Food & Drink": "food",
    "Objects": "objects",
    "People & Body": "people",
    "Smileys & Emotion": "smileys",
    "Symbols": "symbols",
    "Travel & Places": "travel",
}
JOINER = "200d"  # joins emoji to a variant of the first: a profession, a hair colour, a direction
SIZE = 32  # pixels
COLUMNS = 32  # cells in a row of a sheet
HERE = Path(__file__).parent
Json = dict[str, Any]
Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def main() -> None:
    """Write the sheets, the names of their cells and the checksums."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = [f"{name}@{version}" for name, version in PACKAGES.items()]
        quiet = ["--no-audit", "--no-fund", "--ignore-scripts"]
        subprocess.run(["npm", "install", "--prefix", folder, *quiet, *wanted], check=True)
        write_sheets(Path(folder) / "node_modules")


def write_sheets(packages: Path) -> None:
    """Write all files beside this script, from a folder of installed packages."""
    vendors = open_vendors(packages)
    emoji, sheets = [], {vendor: dict[bytes, Pixels]() for vendor in vendors}
    for entry in list_emoji(packages):
        pictures = {vendor: draw(entry) for vendor, draw in vendors.items()}
        small = {vendor: shrink(png) for vendor, png in pictures.items() if png}
        # A vendor's picture for two emoji would be of two classes.
        new = all(pixels.tobytes() not in sheets[vendor] for vendor, pixels in small.items())
        if len(small) == len(vendors) and new:
            emoji.append(entry)
            for vendor, pixels in small.items():
                sheets[vendor][pixels.tobytes()] = pixels
    files = {f"{vendor}.webp": tile(list(cells.values())) for vendor, cells in sheets.items()}
    files["emoji.csv"] = name_cells(emoji)
    sums = [f"{hashlib.sha256(data).hexdigest()}  {name}" for name, data in sorted(files.items())]
    files["SHA256SUMS"] = ("\n".join(sums) + "\n").encode()
    for name, data in files.items():
        (HERE / name).write_bytes(data)


def list_emoji(packages: Path) -> list[Json]:
    """Return the emoji of the classes in the order of the sheets, without joined variants."""
    entries = json.loads((packages / "emoji-datasource-google/emoji.json").read_text())
    chosen = [
        entry
        for entry in entries
        if entry["category"] in CLASSES and JOINER not in code_points(entry["unified"])
    ]
    return sorted(chosen, key=lambda entry: (CLASSES[entry["category"]], name_file(entry)))


def code_points(text: str) -> list[str]:
    """Return an emoji's code points in lower case, without those that only ask for colour."""
    return [point for point in text.lower().split("-") if point != "fe0f"]


def name_file(entry: Json) -> str:
    """Return the name of an emoji's file: ``1f600``, ``0023-20e3``."""
    return "-".join(code_points(entry["unified"]))


def open_vendors(packages: Path) -> dict[str, Callable[[Json], bytes | None]]:
    """Return for each vendor what gives the PNG of an emoji, None where it has none."""
    openmoji = {
        "-".join(code_points(path.stem)): path
        for path in (packages / "openmoji/color/svg").glob("*.svg")
    }
    fluent = packages / "@iconify-json/fluent-emoji-flat"
    icons = json.loads((fluent / "icons.json").read_text())["icons"]
    names = {
        "-".join(code_points(points)): name
        for points, name in json.loads((fluent / "chars.json").read_text()).items()
    }

    def read_png(vendor: str, entry: Json) -> bytes | None:
        path = packages / f"emoji-datasource-{vendor}/img/{vendor}/64/{entry['image']}"
        return path.read_bytes() if path.exists() else None

    def draw_openmoji(entry: Json) -> bytes | None:
        path = openmoji.get(name_file(entry))
        return rasterize(path.read_text()) if path else None

    def draw_fluent(entry: Json) -> bytes | None:
        icon = icons.get(names.get(name_file(entry)))
        if icon is None:
            return None
        around = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">'
        return rasterize(f"{around}{icon['body']}</svg>")

    return {
        "noto": lambda entry: read_png("google", entry),
        "twemoji": lambda entry: read_png("twitter", entry),
        "openmoji": draw_openmoji,
        "fluent": draw_fluent,
    }


def rasterize(svg: str) -> bytes:
    """Return a drawing as PNG, of twice the size of a cell."""
    return bytes(
        resvg_py.svg_to_bytes(
            svg_string=svg, width=2 * SIZE, height=2 * SIZE, skip_system_fonts=True
        )
    )


def shrink(png: bytes) -> Pixels:
    """Return an image of the size of a cell, uint8 ``(32, 32, 4)``.

    No colour is hidden under clear pixels.
    """
    image = Image.open(io.BytesIO(png)).convert("RGBA")
    # Pillow weighs the colours of RGBA by their opacity.
    pixels = np.array(image.resize((SIZE, SIZE), Image.Resampling.BOX))
    pixels[pixels[..., 3] == 0] = 0
    return pixels


def tile(images: list[Pixels]) -> bytes:
    """Return the images side by side, row after row, as lossless WebP."""
    rows = -(-len(images) // COLUMNS)
    cells = np.zeros((rows * COLUMNS, SIZE, SIZE, 4), np.uint8)
    cells[: len(images)] = images
    sheet = cells.reshape(rows, COLUMNS, SIZE, SIZE, 4).swapaxes(1, 2)
    file = io.BytesIO()
    whole = Image.fromarray(sheet.reshape(rows * SIZE, COLUMNS * SIZE, 4))
    whole.save(file, "WEBP", lossless=True, quality=100, method=6)
    return file.getvalue()


def name_cells(emoji: list[Json]) -> bytes:
    """Return the table of the cells: class, code points and name of each."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["class", "code_points", "name"])
    for entry in emoji:
        name = entry["short_name"].replace("_", " ").replace("-", " ")
        table.writerow([CLASSES[entry["category"]], name_file(entry), name])
    return text.getvalue().encode()


if __name__ == "__main__":
    main()
