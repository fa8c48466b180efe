"""ImageNet-100: a hundred classes of ImageNet, named by a list.

    train/n01440764/*.JPEG   val/n01440764/*.JPEG

The list is a file with names of class folders, separated by lines or blanks. The code of CaSSLe
has none; that of solo-learn has one. Without a list, the folder must hold exactly a hundred
classes.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.data.datasets.file_source import FileSource
from pipeline.data.image_files.catalogue import Catalogue, build_catalogue
from pipeline.data.image_files.content import list_first
from pipeline.data.image_files.kinds import KINDS
from pipeline.data.image_files.text_lists import read_lines
from pipeline.data.image_files.tree import Item, list_folder, list_images
from pipeline.data.parts import Part
from pipeline.errors import DataError

NUM_CLASSES = 100


class ImageNet100(FileSource):
    """The hundred class folders of ImageNet that the list names."""

    holds = "ImageNet's train/ and val/, each with one folder a class"

    def _find(self) -> Catalogue:
        folders = {"train": self.root / "train", "test": self.root / "val"}
        for folder in folders.values():
            if not folder.is_dir():
                raise DataError(
                    f"ImageNet is not in {self.root}: {folder} is missing; name the folder that "
                    "holds train/ and val/, each with one folder a class"
                )
        names = self._choose_classes(list_folder(folders["train"]).folders)
        parts: dict[Part, list[Item]] = {
            "train": _list_items(self.root, folders["train"], names),
            "test": _list_items(self.root, folders["test"], names),
        }
        return build_catalogue(self.root, parts, self.options, names)

    def _choose_classes(self, found: list[str]) -> list[str]:
        """Return the names of the class folders to use, sorted."""
        given = self.options.class_list
        if given is None:
            if len(found) == NUM_CLASSES:
                return found
            raise DataError(
                f"data.class_list: {self.root / 'train'} has {len(found)} classes; name a file "
                f"with the {NUM_CLASSES} class folders to take, one a line"
            )
        lines = read_lines(Path(given), "data.class_list names the classes to take")
        names = [name for line in lines for name in line.partition("#")[0].split()]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise DataError(f"data.class_list: {given} has {list_first(twice)} twice")
        if missing := [name for name in names if name not in found]:
            raise DataError(
                f"data.class_list: {self.root / 'train'} lacks {len(missing)} of the "
                f"{len(names)} classes in {given}: {list_first(missing)}"
            )
        return sorted(names)


def _list_items(root: Path, folder: Path, names: list[str]) -> list[Item]:
    found = []
    for name in names:
        paths = list_images(root, folder / name) if (folder / name).is_dir() else []
        if not paths:
            raise DataError(f"{folder / name} is missing or holds no {KINDS} image")
        found += [Item(path, name) for path in paths]
    return found
