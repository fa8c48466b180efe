"""Listing folders of images."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.data.image_files.kinds import KINDS
from pipeline.data.names import normalize_name
from pipeline.errors import DataError

ENDINGS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".tif", ".tiff"}
)
# What systems and programs leave in folders, beside hidden files. It counts as nothing.
LITTER = frozenset(
    {
        "thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
        "icon\r",
        "icon-theme.cache",
        "__macosx",
        "@eadir",
        "lost+found",
        "$recycle.bin",
        "system volume information",
    }
)
UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})  # control, surrogate, line and paragraph ends
MAX_DEPTH = 64  # folders within each other
Identities = tuple[tuple[int, int], ...]  # device and inode of folders


@dataclass(frozen=True)
class Item:
    """An image file with its class and domain.

    Attributes:
        path: the file, relative to the data set's root.
        kind: the name of its class; empty without labels.
        domain: the name of its domain; empty without domains.
    """

    path: str
    kind: str = ""
    domain: str = ""


@dataclass
class FolderContents:
    """The names of what a folder holds, without hidden files and what systems leave there.

    Attributes:
        path: the folder.
        images: its image files, sorted.
        folders: its folders, sorted.
        others: the number of its other files by ending, in small letters; empty without one.
    """

    path: Path
    images: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)


def list_folder(folder: Path) -> FolderContents:
    """Return what a folder holds, sorted by name.

    Raises:
        DataError: it cannot be read, or a name cannot be printed.
    """
    tree = FolderContents(folder)
    try:
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            if entry.name.startswith(".") or entry.name.lower() in LITTER:
                continue
            ending = Path(entry.name).suffix.lower()
            if _is_folder(entry):
                tree.folders.append(entry.name)
            elif ending in ENDINGS:
                tree.images.append(entry.name)
            else:
                tree.others[ending] += 1
                continue
            if not is_printable(entry.name):
                raise DataError(
                    f"{folder} holds {entry.name!r}, whose name is not UTF-8 or has control "
                    "characters; rename it"
                )
    except OSError as error:
        where = error.filename or folder
        raise DataError(f"{where} cannot be read: {error.strerror or error}") from error
    return tree


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder or a link to one; a link to itself is none."""
    with suppress(OSError):
        return entry.is_dir()
    return False


def is_printable(name: str) -> bool:
    """Return whether a name is UTF-8 without control characters."""
    return not any(unicodedata.category(letter) in UNPRINTABLE for letter in name)


def list_images(root: Path, folder: Path, above: Identities = ()) -> list[str]:
    """Return all images in a folder and its subfolders, as paths relative to a root.

    A folder that links reach several times counts once.

    Args:
        root: the data set's root.
        folder: the folder to list; links are followed.
        above: the identities of its ancestors; empty: they are looked up.

    Raises:
        DataError: a link leads back to an ancestor, folders are nested too deep, or one cannot
            be read.
    """
    return _list_images(root, folder, above or ancestors(folder)[1:], set(), MAX_DEPTH)


def _list_images(
    root: Path, folder: Path, above: Identities, seen: set[tuple[int, int]], depth: int
) -> list[str]:
    if depth == 0:
        raise DataError(
            f"{root} holds more than {MAX_DEPTH} folders within each other; move the images up"
        )
    here = require_no_loop(folder, above)
    if here[-1] in seen:
        return []
    seen.add(here[-1])
    tree = list_folder(folder)
    found = [(folder / name).relative_to(root).as_posix() for name in tree.images]
    for name in tree.folders:
        found += _list_images(root, folder / name, here, seen, depth - 1)
    return found


def require_no_loop(folder: Path, above: Identities) -> Identities:
    """Return the identities of a folder and of its ancestors.

    Args:
        folder: the folder.
        above: the identities of its ancestors.

    Raises:
        DataError: the folder is one of its ancestors (by a link), or cannot be read.
    """
    try:
        status = folder.stat()
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror or error}") from error
    here = (status.st_dev, status.st_ino)
    if here in above:
        raise DataError(
            f"{folder} is a symbolic link that leads back to a folder that holds it; remove it"
        )
    return (*above, here)


def ancestors(folder: Path) -> Identities:
    """Return the identities of a folder and of all its ancestors."""
    statuses = [path.stat() for path in (folder.resolve(), *folder.resolve().parents)]
    return tuple((status.st_dev, status.st_ino) for status in statuses)


def list_by_class(root: Path, folder: Path, domain: str = "", within: str = "") -> Iterator[Item]:
    """Yield the images of each class folder.

    Args:
        root: the data set's root.
        folder: the folder with one folder a class.
        domain: the name of the images' domain.
        within: the subfolder of each class folder with its images; empty: all of it.

    Raises:
        DataError: a class folder holds no image.
    """
    above = ancestors(folder)
    for name in list_folder(folder).folders:
        require_no_loop(folder / name, above)
        inside = folder / name / within
        paths = list_images(root, inside) if inside.is_dir() else []
        if not paths:
            raise DataError(
                f"{folder / name} is a class folder without a {KINDS} image; fill it or remove it"
            )
        kind = normalize_name(name)
        yield from (Item(path, kind, normalize_name(domain)) for path in paths)


def describe_others(others: Counter[str]) -> str:
    """Return in words how many files of which endings are no images; empty if there are none."""
    most = others.most_common(6)
    more = sum(others.values()) - sum(count for _, count in most)
    said = [f"{count} {ending or 'without an ending'}" for ending, count in most]
    return ", ".join([*said, *([f"{more} others"] if more else [])])
