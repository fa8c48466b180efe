"""Any folder of images: one folder a class, domain/class, or no folders and no labels.

root/train/cat/1.jpg  root/test/cat/2.jpg     parts (val/ counts as test/)
root/cat/1.jpg                                a share of each class is held out for testing
root/sketch/cat/1.jpg                         domains; below train/ and test/ if these exist
root/1.jpg                                    no labels
"""

from __future__ import annotations

from pathlib import Path

from pipeline.data.datasets.file_source import FileSource
from pipeline.data.image_files.catalogue import Catalogue
from pipeline.data.image_files.tree import (
    Item,
    ancestors,
    build_catalogue,
    list_by_class,
    list_folder,
    list_images,
    require_no_loop,
    split_off_test,
)
from pipeline.data.parts import Part
from pipeline.errors import DataError


class ImageFolder(FileSource):
    """A folder of JPEG and PNG files; other files are ignored."""

    holds = "class folders, domain/class folders, or images without folders (and labels)"

    def _find(self) -> Catalogue:
        folders = list_folder(self.root).folders
        train = self.root / "train" if "train" in folders else self.root
        tests = [self.root / name for name in ("test", "val") if name in folders]
        if "train" in folders and tests:
            parts: dict[Part, list[Item]] = {
                "train": list_items(self.root, train),
                "test": list_items(self.root, tests[0]),
            }
        else:
            parts = split_off_test(list_items(self.root, train), self.options.holdout)
        return build_catalogue(self.root, parts, domain_names=self.options.domains)


def list_items(root: Path, folder: Path) -> list[Item]:
    """Return the images of a folder, with classes and domains from the names of its folders.

    Raises:
        DataError: there are no images, a class is empty, or the folders mix two layouts.
    """
    tree = list_folder(folder)
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
    found = [item for name in of_domains for item in list_by_class(root, folder / name, name)]
    _require_all_classes(folder, found, of_domains)
    return found


def _require_all_classes(folder: Path, found: list[Item], domains: list[str]) -> None:
    kinds = sorted({item.kind for item in found})
    for domain in domains:
        missing = sorted(set(kinds) - {item.kind for item in found if item.domain == domain})
        if missing:
            raise DataError(
                f"{folder}: the domain '{domain}' has no class folder {', '.join(missing[:10])}; "
                "domains must share their classes"
            )
