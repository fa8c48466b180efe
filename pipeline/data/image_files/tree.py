"""Listing folders of images, and holding out a test part."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pipeline.data.image_files.catalogue import Catalogue, Listing
from pipeline.data.image_files.content import list_first
from pipeline.data.parts import Part
from pipeline.errors import DataError

ENDINGS = frozenset({".jpg", ".jpeg", ".png"})
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
    """The names of the images and folders in a folder, without hidden ones."""

    path: Path
    images: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)


def list_folder(folder: Path) -> FolderContents:
    """Return the images and folders in a folder, sorted by name.

    Raises:
        DataError: it cannot be read.
    """
    tree = FolderContents(folder)
    try:
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                tree.folders.append(entry.name)
            elif Path(entry.name).suffix.lower() in ENDINGS:
                tree.images.append(entry.name)
    except OSError as error:
        where = error.filename or folder
        raise DataError(f"{where} cannot be read: {error.strerror or error}") from error
    return tree


def list_images(root: Path, folder: Path, above: Identities = ()) -> list[str]:
    """Return all images in a folder and its subfolders, as paths relative to a root.

    Args:
        root: the data set's root.
        folder: the folder to list; links are followed.
        above: the identities of its ancestors; empty: they are looked up.

    Raises:
        DataError: a link leads back to an ancestor, or a folder cannot be read.
    """
    here = require_no_loop(folder, above or ancestors(folder.parent))
    tree = list_folder(folder)
    found = [(folder / name).relative_to(root).as_posix() for name in tree.images]
    for name in tree.folders:
        found += list_images(root, folder / name, here)
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
                f"{folder / name} is a class folder without a JPEG or PNG image; "
                "fill it or remove it"
            )
        yield from (Item(path, name, domain) for path in paths)


def split_off_test(items: Sequence[Item], share: float) -> dict[Part, list[Item]]:
    """Split images into a training and a test part, always the same way.

    Of each class in each domain, the images whose paths have the smallest SHA-256 are held out
    for testing: the given share, rounded, at least one and never all. So an added image moves
    few others.

    Raises:
        DataError: a class has only one image.
    """
    groups: dict[tuple[str, str], list[Item]] = {}
    for item in items:
        groups.setdefault((item.domain, item.kind), []).append(item)
    tested: set[str] = set()
    for (domain, kind), held in groups.items():
        if len(held) < 2:
            where = f"{domain}/{kind}".strip("/") or "the folder"
            raise DataError(
                f"{where} has one image alone, {held[0].path}: none is left to hold out for "
                "testing; add some, or make folders train/ and test/"
            )
        count = min(max(1, round(share * len(held))), len(held) - 1)
        order = sorted(held, key=lambda item: hashlib.sha256(item.path.encode()).digest())
        tested |= {item.path for item in order[:count]}
    return {
        "train": [item for item in items if item.path not in tested],
        "test": [item for item in items if item.path in tested],
    }


def build_catalogue(
    root: Path,
    parts: dict[Part, list[Item]],
    class_names: Sequence[str] | None = None,
    domain_names: Sequence[str] | None = None,
) -> Catalogue:
    """Return the catalogue of a data set, with labels and domains as numbers.

    Args:
        root: the data set's root, for messages.
        parts: its images.
        class_names: the class names by label; None: those of the training part, sorted.
        domain_names: the domains to use, in order; None: those of the training part, sorted.

    Raises:
        DataError: a test image has a class that the training part lacks, or a wanted domain
            is missing.
    """
    train = parts["train"]
    if not train:
        raise DataError(f"{root} holds no JPEG or PNG image to train on")
    found = {item.domain for item in train} - {""}
    if domain_names is not None and (missing := [d for d in domain_names if d not in found]):
        raise DataError(
            f"data.domains: {root} has no domain {', '.join(missing)}; it has "
            f"{', '.join(sorted(found)) or 'none'}"
        )
    domains = sorted(found) if domain_names is None else list(domain_names)
    kinds = {item.kind for item in train} - {""}
    names = sorted(kinds) if class_names is None else list(class_names)
    if found:
        parts = {part: [i for i in held if i.domain in domains] for part, held in parts.items()}
    strange = sorted({item.kind for item in parts["test"]} - {"", *names})
    if strange and names:
        raise DataError(
            f"{root}: the test part has classes that the training part has not: "
            f"{list_first(strange)}"
        )
    labels = {name: label for label, name in enumerate(names)} | {"": -1}
    places = {name: place for place, name in enumerate(domains)}

    def listing(items: list[Item]) -> Listing:
        return Listing(
            [item.path for item in items],
            np.array([labels[item.kind] for item in items], np.int64),
            np.array([places[item.domain] for item in items], np.int64) if found else None,
        )

    return Catalogue(names, listing(parts["train"]), listing(parts["test"]), domains)
