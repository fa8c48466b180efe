"""A look at a folder of images without decoding them."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from pipeline.data.image_files.kinds import FORMATS
from pipeline.data.image_files.tree import MAX_DEPTH, ancestors, list_folder

SAMPLE = 200  # images whose headers are read
NOWHERE = (errno.ENOENT, errno.ELOOP, errno.ENOTDIR)  # of links
LIKE_SIZE = re.compile(r"(size)?\d+(x\d+)?(px)?(@\d+x?)?", re.IGNORECASE)


@dataclass
class Survey:
    """What else a folder holds, in it and below.

    Attributes:
        others: the number of its files that are no images, by ending.
        broken: its links to nothing.
        special: its pipes, devices and sockets, and links to such.
        unreadable: what may not be looked at, by the system's reason.
    """

    others: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    special: list[str] = field(default_factory=list)
    unreadable: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Headers:
    """The headers of a sample of images.

    Attributes:
        count: how many were read.
        smallest: width and height of the image of the smallest area; None: none was read.
        largest: likewise.
        kinds: their numbers by file format and mode.
    """

    count: int
    smallest: tuple[int, int] | None
    largest: tuple[int, int] | None
    kinds: Counter[str]


def survey_folder(root: Path) -> Survey:
    """Return what else a folder holds; links are followed, and each folder counts once.

    Raises:
        DataError: a folder cannot be read, or a name cannot be printed.
    """
    found = Survey()
    # Links may lead back to what holds it.
    waiting, seen = [(root, MAX_DEPTH)], set(ancestors(root)[1:])
    while waiting:
        place, depth = waiting.pop()
        try:
            status = place.stat()
        except PermissionError:  # noted in the folder that holds it
            continue
        if (status.st_dev, status.st_ino) in seen or depth == 0:
            continue
        seen.add((status.st_dev, status.st_ino))
        tree = list_folder(place)
        found.others += tree.others
        waiting += [(place / name, depth - 1) for name in tree.folders]
        # All that is there, hidden or not: DVC reads all of it.
        with os.scandir(place) as entries:
            for entry in entries:
                path = Path(entry.path).relative_to(root).as_posix()
                try:
                    mode = read_mode(entry)
                except OSError as error:
                    if entry.is_symlink() and error.errno in NOWHERE:
                        found.broken.append(path)
                    else:
                        reason = error.strerror or str(error)
                        found.unreadable.setdefault(reason, []).append(path)
                else:
                    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                        found.special.append(path)
    for paths in (found.broken, found.special, *found.unreadable.values()):
        paths.sort()
    return found


def read_mode(entry: os.DirEntry[str]) -> int:
    """Return the mode of what an entry of a folder is, or leads to.

    Raises:
        OSError: a link leads nowhere, or the entry may not be looked at.
    """
    return entry.stat().st_mode


def read_headers(root: Path, paths: Sequence[str]) -> Headers:
    """Return what the headers of up to 200 images say, evenly over all."""
    step = max(1, len(paths) // SAMPLE)
    sizes: list[tuple[int, int]] = []
    kinds: Counter[str] = Counter()
    for path in paths[::step][:SAMPLE]:
        with suppress(OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            if (root / path).is_file():
                with Image.open(root / path, formats=FORMATS) as image:
                    sizes.append(image.size)
                    transparent = " with transparency" if image.has_transparency_data else ""
                    kinds[f"{image.format} {image.mode}{transparent}"] += 1
    in_order = sorted(sizes, key=lambda size: (size[0] * size[1], size))
    return Headers(
        len(sizes),
        in_order[0] if sizes else None,
        in_order[-1] if sizes else None,
        kinds,
    )


def describe_headers(headers: Headers, total: int) -> str:
    """Return in words what the headers of a sample say.

    Args:
        headers: of the sample.
        total: the number of all images.
    """
    if headers.smallest is None or headers.largest is None:
        return "images: none of those looked at can be opened"
    (width, height), (wider, higher) = headers.smallest, headers.largest
    size = f"{width}×{height}"
    if headers.smallest != headers.largest:
        size += f" to {wider}×{higher}"
    kinds = ", ".join(f"{count} {kind}" for kind, count in headers.kinds.most_common(6))
    looked = "all" if headers.count == total else f"{headers.count} of {total}"
    return f"images ({looked} looked at): {size} pixels; {kinds}"


def look_like_sizes(names: Sequence[str]) -> bool:
    """Return whether folders are named by sizes of images, as 48x48 or 32."""
    return len(names) > 1 and all(LIKE_SIZE.fullmatch(name) for name in names)
