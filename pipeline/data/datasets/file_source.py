"""Data sets of image files, and selections of such."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.data.image_files.catalogue import Catalogue, Listing
from pipeline.data.image_files.content import Content, digest_content
from pipeline.data.image_files.file_options import FileOptions, Reading
from pipeline.data.image_files.holdout import split_off_test
from pipeline.data.image_files.store import ImageFiles
from pipeline.data.image_files.store_writer import Findings, inspect_images, store_path
from pipeline.data.image_files.tree import Item
from pipeline.data.parts import Part
from pipeline.data.source import ImageReader, Keys, Selection, Source
from pipeline.errors import DataError

PAGE_CACHE_BYTES = 2**30  # a store up to this size stays in the system's page cache


@dataclass(frozen=True)
class FileSelection(Selection):
    """Some image files, with a store of their own.

    Attributes:
        images: the files, and how they become pixels.
        reading: options of how they are read.
    """

    images: ImageFiles
    reading: Reading

    def __len__(self) -> int:
        return len(self.images)

    @functools.cached_property
    def _content(self) -> Content:
        return self._digest()

    def _digest(self) -> Content:
        images, reading = self.images, self.reading
        return digest_content(images.root, images.paths, reading.scratch, reading.workers)

    def contents(self) -> Sequence[str]:
        """Return the SHA-256 of each file's bytes, ``(N,)``."""
        return self._content.each

    def fingerprint(self) -> str:
        """Return a SHA-256 of the files' names and bytes."""
        return self._content.ordered

    def set_fingerprint(self) -> str:
        """Return a SHA-256 of the files' names and bytes as a set."""
        return self._content.as_set

    def files(self) -> Sequence[Path]:
        """Return the files of the images."""
        return [self.images.root / path for path in self.images.paths]

    @property
    def _store_path(self) -> Path:
        return store_path(self.reading.scratch, self.fingerprint(), self.images)

    @functools.cached_property
    def _findings(self) -> Findings:
        if not self.reading.look or not self.images.paths:
            return Findings(len(self.images))
        return inspect_images(
            self.images,
            self._store_path,
            self.reading.workers,
            keep=self.reading.store == "cache",
            require_same=self._require_same,
        )

    def _require_same(self) -> None:
        if self._digest() != self._content:
            raise DataError(
                f"images in {self.images.root} were replaced while they were read; run `dvc repro "
                "-f -s prepare`, or `cassle prepare` where there is no DVC"
            )

    def unreadable(self) -> dict[int, str]:
        """Return the unreadable images by index; makes the store if it is wanted and missing."""
        return {int(place): why for place, why in self._findings.bad.items()}

    def plain(self) -> Sequence[int]:
        """Return the indices of the images of a single color."""
        return self._findings.plain

    def reader(self) -> ImageReader:
        """Return the reader of the images; makes the store if it is wanted and missing."""
        if self.reading.store == "stream":
            return self.images
        self.unreadable()
        return self.images.store_in(self._store_path)

    def workers(self) -> int:
        """Return the number of reading processes; 0 if the store fits the page cache."""
        if self.reading.store == "stream":
            return self.reading.workers
        at_hand = self.images.store_in(self._store_path).total < PAGE_CACHE_BYTES
        return 0 if at_hand else self.reading.workers

    def is_gone(self) -> bool:
        """Return whether none of the files is here any more."""
        return not any((self.images.root / path).exists() for path in self.images.paths)


class FileSource(Source):
    """A data set of image files.

    Args:
        root: its folder.
        options: options that change the images, or say which there are.
        reading: options of how they are read.

    Attributes:
        holds: the expected content of the folder, in words, for messages.
        remarks: what else there is to say of the files, once they are listed.
    """

    holds: str

    def __init__(self, root: Path, options: FileOptions, reading: Reading) -> None:
        super().__init__(root)
        self.options = options
        self.reading = reading
        self.remarks: list[str] = []
        self.needs_tests = options.holdout > 0

    @abstractmethod
    def _find(self) -> Catalogue:
        """Return the catalogue of the files.

        Raises:
            DataError: there are none, or the folders have another layout.
        """

    @functools.cached_property
    def _catalogue(self) -> Catalogue:
        if not self.root.is_dir():
            raise DataError(f"the folder '{self.root}' is missing; it should hold {self.holds}")
        return self._find()

    def split_off_test(self, items: Sequence[Item]) -> dict[Part, list[Item]]:
        """Return images by part, with a share of each class held out as the options say.

        Raises:
            DataError: a class has too few images.
        """
        return split_off_test(items, self.options, self._digest_files)

    def _digest_files(self, paths: Sequence[str]) -> Sequence[str]:
        return digest_content(self.root, paths, self.reading.scratch, self.reading.workers).each

    def _part(self, part: Part) -> Listing:
        return self._catalogue.train if part == "train" else self._catalogue.test

    def class_names(self) -> Sequence[str]:
        """Return the names of the classes, by label."""
        return self._catalogue.class_names

    def labels(self, part: Part) -> NDArray[np.int64]:
        """Return the label of each image, ``(N,)``."""
        return self._part(part).labels

    def domain_names(self) -> Sequence[str]:
        """Return the names of the domains in the order of the stream."""
        return self._catalogue.domain_names

    def domains(self, part: Part) -> NDArray[np.int64]:
        """Return the domain of each image, ``(N,)``."""
        found = self._part(part).domains
        return super().domains(part) if found is None else found

    def keys(self, part: Part) -> Sequence[str]:
        """Return the path of each image, ``(N,)``."""
        return self._part(part).paths

    def select(self, part: Part, keys: Keys) -> Selection:
        """Return the images of these paths, whether they are in the catalogue or not."""
        paths = [str(key) for key in keys]
        wanted = self.options
        images = ImageFiles(
            self.root, paths, wanted.resize, wanted.background, wanted.interpolation, wanted.keep
        )
        return FileSelection(images, self.reading)
