"""Images on which the presets for own images were chosen, made of Debian's packages.

    apt-get download oxygen-icon-theme gnome-icon-theme elementary-xfce-icon-theme mate-backgrounds
    for package in *.deb; do dpkg-deb -x $package unpacked; done
    python -m benchmarks.trial_sets icons unpacked data/raw/icons
    python -m benchmarks.trial_sets patches unpacked data/raw/patches

``icons``: three themes, each a domain; the folders of a theme are the classes. ``patches``: squares
out of twelve photographs, each photograph a class; a third of the places is for testing.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import sys
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from pipeline.files.atomic import write_bytes

THEMES = {
    "elementary": "usr/share/icons/elementary-xfce/{kind}/48",
    "gnome": "usr/share/icons/gnome/48x48/{kind}",
    "oxygen": "usr/share/icons/oxygen/base/48x48/{kind}",
}
KINDS = ("actions", "apps", "devices", "places", "status")
PER_KIND = 160  # images of one theme, at most
PHOTOGRAPHS = "usr/share/backgrounds/mate/nature"
PATCH = 64  # pixels of a patch
ROWS = 20  # patches in a photograph's height
PER_PHOTOGRAPH = 200


def list_icons(packages: Path) -> Iterator[tuple[str, Image.Image]]:
    """Return the icons with their paths: theme, part, class, name; none of a theme twice.

    An icon's name, which the themes share, decides its part: else one would be learnt in one theme
    and tested in another.
    """
    for theme, place in THEMES.items():
        seen: set[bytes] = set()
        for kind in KINDS:
            found = sorted((packages / place.format(kind=kind)).glob("*.png"))
            new = []
            for path in found:
                if path.is_symlink():
                    continue
                content = hashlib.sha256(path.read_bytes()).digest()
                if content not in seen:
                    seen.add(content)
                    new.append(path)
            new.sort(key=lambda path: _draw(f"which {path.stem}"))
            for path in new[:PER_KIND]:
                part = "test" if _draw(path.stem) < "5" else "train"
                icon = Image.open(path).convert("RGBA")
                white = Image.new("RGBA", icon.size, "white")
                yield (
                    f"{part}/{theme}/{kind}/{path.stem}",
                    Image.alpha_composite(white, icon).convert("RGB"),
                )


def _draw(name: str) -> str:
    """Return what orders names at random, and the same each time."""
    return hashlib.sha256(name.encode()).hexdigest()


def list_patches(packages: Path) -> Iterator[tuple[str, Image.Image]]:
    """Return squares out of each photograph with their paths: part, class, place."""
    for path in sorted((packages / PHOTOGRAPHS).glob("*.jpg")):
        whole = Image.open(path).convert("RGB")
        height = ROWS * PATCH
        whole = whole.resize((round(whole.width / whole.height * height), height))
        places = [(row, column) for row in range(ROWS) for column in range(whole.width // PATCH)]
        chosen = sorted(places, key=lambda place: _draw(f"{path.stem} {place}"))
        for number, (row, column) in enumerate(chosen[:PER_PHOTOGRAPH]):
            corner = (column * PATCH, row * PATCH)
            part = "test" if number % 3 == 0 else "train"
            yield (
                f"{part}/{path.stem}/{row:02}-{column:02}",
                whole.crop((*corner, corner[0] + PATCH, corner[1] + PATCH)),
            )


SETS = {"icons": list_icons, "patches": list_patches}


def main(arguments: list[str]) -> None:
    """Write one of the sets as a folder of PNG files."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trial_sets", description=__doc__)
    parser.add_argument("set", choices=SETS)
    parser.add_argument("packages", type=Path, help="the folder of the unpacked packages")
    parser.add_argument("folder", type=Path, help="where the images go")
    given = parser.parse_args(arguments)
    count = 0
    for place, image in SETS[given.set](given.packages):
        content = io.BytesIO()
        image.save(content, "PNG")
        write_bytes(given.folder / f"{place}.png", content.getvalue())
        count += 1
    print(f"{given.folder}: {count} images")


if __name__ == "__main__":
    main(sys.argv[1:])
