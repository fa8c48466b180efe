"""DomainNet (Peng et al., 2019): 345 classes in six domains.

    clipart_train.txt   clipart_test.txt    lines "clipart/zebra/clipart_345_000001.jpg 344"
    clipart/zebra/clipart_345_000001.jpg

The lists are in ``root`` or in ``root/splits``. Without lists, domain/class folders are read
like those of ``image_folder``, and a share of each class is held out for testing.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.data.datasets.file_source import FileSource
from pipeline.data.datasets.image_folder import list_items
from pipeline.data.image_files.catalogue import Catalogue, build_catalogue
from pipeline.data.image_files.text_lists import read_lines, require_inside
from pipeline.data.image_files.tree import Item
from pipeline.data.parts import Part
from pipeline.errors import DataError

# The order of the CaSSLe paper's stream.
DOMAINS = ("real", "quickdraw", "painting", "sketch", "infograph", "clipart")


class DomainNet(FileSource):
    """DomainNet, its domains in the paper's order unless another is given."""

    holds = "<domain>_train.txt, <domain>_test.txt and the domains' folders"

    def _find(self) -> Catalogue:
        places = (self.root, self.root / "splits")
        place = next((p for p in places if any(p.glob("*_train.txt"))), None)
        if place is None:
            parts = self.split_off_test(list_items(self.root, self.root))
        else:
            found = {path.name.removesuffix("_train.txt") for path in place.glob("*_train.txt")}
            parts = {part: _read_lists(self.root, place, sorted(found), part) for part in _PARTS}
        there = {item.domain for item in parts["train"]}
        if "" in there:
            raise DataError(
                f"DomainNet is not in {self.root}: it holds neither <domain>_train.txt and "
                "<domain>_test.txt nor domain/class folders"
            )
        known = [name for name in DOMAINS if name in there]
        domains = self.options.domains or known or sorted(there)
        return build_catalogue(self.root, parts, self.options, domain_names=domains)


_PARTS: tuple[Part, Part] = ("train", "test")


def _read_lists(root: Path, place: Path, domains: list[str], part: Part) -> list[Item]:
    """Return the images in the lists of a part."""
    found = []
    for domain in domains:
        path = place / f"{domain}_{part}.txt"
        lines = read_lines(path, "each domain needs a list of training and a list of test images")
        for number, line in enumerate(lines, start=1):
            image, _, label = line.strip().rpartition(" ")
            kind = Path(image).parent.name
            if not image or not label.isdigit() or not kind:
                raise DataError(
                    f"{path}, line {number}: expected 'domain/class/file label', got '{line}'"
                )
            found.append(Item(require_inside(image, path, number), kind, domain))
    return found
