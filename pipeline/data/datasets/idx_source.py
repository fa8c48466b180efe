"""Data sets in the four idx files of MNIST and its relatives, as published."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from pipeline.data.datasets.array_source import ArraySource
from pipeline.data.datasets.idx import parse_idx, read_content
from pipeline.data.parts import Part
from pipeline.data.source import Bytes
from pipeline.errors import DataError

FILES: Mapping[Part, tuple[str, str]] = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
NAMES = [name for pair in FILES.values() for name in pair]


class IdxSource(ArraySource):
    """Images of 28×28 grey pixels in ten classes, in four idx files, gzipped or not.

    They lie in ``root`` or where torchvision puts them below it, and are known by their content,
    however it was compressed. What is missing is fetched by torchvision.

    Attributes:
        title: the data set's name, which is that of torchvision's class too.
        digests: the SHA-256 of each unpacked file as published, in the order of ``NAMES``.
    """

    title: ClassVar[str]
    digests: ClassVar[tuple[str, str, str, str]]

    @property
    def _raw(self) -> Path:
        """The folder of torchvision's copy."""
        return self.root / self.title / "raw"

    def describe_download(self) -> str:
        """Return the full set's files, unless they are there; empty for a subset."""
        there = not self.full or self._find_published()
        return "" if there else f"{self.title}'s four files in {self._raw}"

    def _find_published(self) -> dict[str, Path]:
        """Return the four files by name; empty if one is missing."""
        for folder in (self._raw, self.root):
            found = {name: path for name in NAMES if (path := _find_file(folder / name))}
            if len(found) == len(NAMES):
                return found
        return {}

    def _read_published(self, part: Part) -> tuple[Bytes, Bytes]:
        """Return images ``(N, 1, 28, 28)`` and labels ``(N,)`` of the full set; fetches it first.

        Raises:
            DataError: it is not here and cannot be fetched, or a file differs from the
                published one.
        """
        if not self._find_published():
            self._fetch()
        found = self._find_published()
        image_path, label_path = (found[name] for name in FILES[part])
        images, labels = (self._read_checked(name, found[name]) for name in FILES[part])
        return check_shapes(self.title, images, labels, image_path, label_path)

    def _read_checked(self, name: str, path: Path) -> Bytes:
        content = read_content(path)
        if hashlib.sha256(content).hexdigest() != self.digests[NAMES.index(name)]:
            raise DataError(
                f"{path} is there, and what it holds is not {self.title}'s {name} as published "
                "(another SHA-256); remove it, and it is fetched, or put the right one there (a "
                "subset needs data.full: false)"
            )
        return parse_idx(content, path)

    def _fetch(self) -> None:
        from torchvision import datasets

        try:
            getattr(datasets, self.title)(str(self.root), download=True)
        except (RuntimeError, OSError) as error:
            reason = " ".join(str(error).split())
            files = ", ".join(f"{name}.gz" for name in NAMES)
            raise DataError(
                f"data.full: {self.title} is not in {self._raw} and cannot be fetched ({reason}); "
                f"put its four files there: {files}"
            ) from error


def check_shapes(
    title: str, images: Bytes, labels: Bytes, image_path: Path, label_path: Path
) -> tuple[Bytes, Bytes]:
    """Return images ``(N, 1, 28, 28)`` and labels ``(N,)``.

    Raises:
        DataError: they are not images of 28×28 pixels with as many labels from 0 to 9.
    """
    fit = images.shape == (len(labels), 28, 28) and labels.ndim == 1 and len(labels) > 0
    if not fit or labels.max() > 9:
        raise DataError(
            f"{image_path} and {label_path.name} are not {title}: expected (N, 28, 28) images "
            f"and N labels from 0 to 9, got {images.shape} and {labels.shape}"
        )
    return images[:, None], labels


def _find_file(path: Path) -> Path | None:
    """Return an idx file or its gzipped form; None if neither is there."""
    both = (path, path.with_name(f"{path.name}.gz"))
    return next((each for each in both if each.is_file()), None)
