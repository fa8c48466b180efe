"""Tiny ImageNet (Le and Yang, 2015): 200 classes, 64×64 pixels, in the archive's layout.

    train/n01443537/images/n01443537_0.JPEG   wnids.txt   words.txt
    val/images/val_0.JPEG                     val/val_annotations.txt

The test part is ``val``: the archive's own ``test`` has no labels.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from pipeline.data.datasets.file_source import FileSource
from pipeline.data.image_files.catalogue import Catalogue, build_catalogue
from pipeline.data.image_files.text_lists import read_lines, require_inside
from pipeline.data.image_files.tree import Item, list_by_class
from pipeline.data.parts import Part
from pipeline.errors import DataError

FOLDER = "tiny-imagenet-200"
ANNOTATIONS = Path("val") / "val_annotations.txt"


class TinyImageNet(FileSource):
    """Tiny ImageNet; ``root`` is the archive's folder or holds it."""

    holds = "what tiny-imagenet-200.zip unpacks to"

    def _find(self) -> Catalogue:
        base = self.root / FOLDER if (self.root / FOLDER).is_dir() else self.root
        if not (base / "train").is_dir() or not (base / ANNOTATIONS).is_file():
            raise DataError(
                f"Tiny ImageNet is not in {self.root}: {base / 'train'} or {base / ANNOTATIONS} "
                f"is missing; unpack tiny-imagenet-200.zip there"
            )
        train = list(list_by_class(self.root, base / "train", within="images"))
        test = _read_annotations(self.root, base)
        names = _read_class_names(base / "words.txt", sorted({item.kind for item in train}))
        held: dict[Part, list[Item]] = {"train": train, "test": test}
        parts = {
            part: [replace(item, kind=names.get(item.kind, item.kind)) for item in items]
            for part, items in held.items()
        }
        return build_catalogue(
            self.root,
            parts,
            self.options,
            list(names.values()),
        )


def _read_annotations(root: Path, base: Path) -> list[Item]:
    """Return the test images from the annotations (name, class, box a line)."""
    found = []
    path = base / ANNOTATIONS
    lines = read_lines(path, "it names the class of each image of val/")
    for number, line in enumerate(lines, start=1):
        columns = line.split("\t")
        if len(columns) < 2:
            raise DataError(f"{path}, line {number}: expected name and class, got '{line}'")
        image = base / "val" / "images" / require_inside(columns[0], path, number)
        found.append(Item(image.relative_to(root).as_posix(), columns[1]))
    return found


def _read_class_names(path: Path, folders: list[str]) -> dict[str, str]:
    """Return the class name of each folder: its first word, with the folder if not unique."""
    lines = read_lines(path, "it names the classes") if path.exists() else []
    words = {key: said.split(",")[0].strip() for key, _, said in (x.partition("\t") for x in lines)}
    chosen = {folder: words.get(folder) or folder for folder in folders}
    often = Counter(chosen.values())
    return {key: name if often[name] == 1 else f"{name} ({key})" for key, name in chosen.items()}
