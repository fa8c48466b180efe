"""Any folder of images: one folder a class, domain/class, or no folders and no labels.

root/train/cat/1.jpg  root/test/cat/2.jpg     parts (val/ counts as test/)
root/cat/1.jpg                                a share of each class is held out for testing
root/sketch/cat/1.jpg                         domains; below train/ and test/ if these exist
root/1.jpg                                    no labels

In a stream of folders each folder that is a task is one of these, without domains.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.data.datasets.file_source import FileSource
from pipeline.data.image_files.catalogue import Catalogue, Listing, build_catalogue
from pipeline.data.image_files.part_folders import choose_part_folders, require_no_parts
from pipeline.data.image_files.tree import (
    Item,
    ancestors,
    list_by_class,
    list_folder,
    list_images,
    require_no_loop,
)
from pipeline.data.parts import Part
from pipeline.errors import DataError


class ImageFolder(FileSource):
    """A folder of image files; other files are ignored."""

    holds = "class folders, domain/class folders, or images without folders (and labels)"

    def _find(self) -> Catalogue:
        options = self.options
        if options.folders is None:
            parts = self._find_parts(self.root)
            return build_catalogue(self.root, parts, options, domain_names=options.domains)
        there = [name for name in options.folders if _holds_images(self.root / name)]
        found: dict[Part, list[Item]] = {"train": [], "test": []}
        for name in there:
            for part, items in self._find_parts(self.root / name, name).items():
                found[part] += items
        kinds = sorted({item.kind for items in found.values() for item in items} - {""})
        if not there:
            return Catalogue([], Listing([], _NONE, _NONE), Listing([], _NONE, _NONE))
        return build_catalogue(self.root, found, options, kinds, there)

    def _find_parts(self, folder: Path, task: str = "") -> dict[Part, list[Item]]:
        """Return the images of a folder, by part.

        Args:
            folder: the data set's folder, or that of a task.
            task: the name of that task.
        """
        names = list_folder(folder).folders
        train, test = choose_part_folders(folder, names)
        if train is not None and test == "test" and "val" in names:
            self.remarks.append(f"{folder / 'val'} is left out: {folder / 'test'} is tested on")
        listed = {"train": list_items(folder, folder / (train or ""))}
        if test is not None:
            listed["test"] = list_items(folder, folder / test)
            if len({bool(item.kind) for items in listed.values() for item in items}) > 1:
                raise DataError(
                    f"{folder}: of its train and test folders one has class folders and the other "
                    "has not; sort both alike"
                )
        placed = {
            part: [_place_in_task(item, task, folder) for item in items] if task else items
            for part, items in listed.items()
        }
        if "test" in placed:
            return {"train": placed["train"], "test": placed["test"]}
        return self.split_off_test(placed["train"])


_NONE = np.zeros(0, np.int64)


def _holds_images(folder: Path) -> bool:
    """Return whether a folder is there and has an image, in it or below."""
    return folder.is_dir() and bool(list_images(folder, folder))


def _place_in_task(item: Item, task: str, folder: Path) -> Item:
    """Return an image of a task's folder as one of the whole stream.

    Raises:
        DataError: the folder holds domains itself.
    """
    if item.domain:
        raise DataError(
            f"{folder} holds domain/class folders; in scenario: folders each folder is one "
            "task, with class folders or images in it"
        )
    return Item(f"{task}/{item.path}", item.kind, task)


def list_items(root: Path, folder: Path) -> list[Item]:
    """Return the images of a folder, with classes and domains from the names of its folders.

    Raises:
        DataError: there are no images, a class is empty, or the folders mix two layouts.
    """
    tree = list_folder(folder)
    require_no_parts(folder, tree.folders)
    if tree.images and tree.folders:
        raise DataError(
            f"{folder} holds images ({tree.images[0]}) beside folders ({tree.folders[0]}); put "
            "each image into a folder of its class, or all of them beside each other without "
            "folders"
        )
    if not tree.folders:
        return [Item(path) for path in list_images(root, folder)]
    above = ancestors(folder)
    for name in tree.folders:
        require_no_loop(folder / name, above)
    # A domain's folder holds only folders, a class's folder holds images.
    levels = {name: list_folder(folder / name) for name in tree.folders}
    of_domains = [name for name, below in levels.items() if below.folders and not below.images]
    if not of_domains:
        return list(list_by_class(root, folder))
    others = [name for name in tree.folders if name not in of_domains]
    if others:
        raise DataError(
            f"{folder}: '{of_domains[0]}' holds folders, as a domain, and '{others[0]}' does not; "
            "sort all images into class folders, or all into domain/class folders"
        )
    for name in of_domains:
        require_no_parts(folder / name, levels[name].folders)
    return [item for name in of_domains for item in list_by_class(root, folder / name, name)]
