"""Data sets of image files."""

from __future__ import annotations

import functools
import hashlib
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.data.image_files.catalogue import Catalogue, Listing
from pipeline.data.image_files.content import content_digest, list_first
from pipeline.data.image_files.file_options import FileOptions, Reading
from pipeline.data.image_files.store import ImageFiles, Store
from pipeline.data.image_files.store_writer import find_bad_images, store_path
from pipeline.data.parts import Part
from pipeline.data.source import ImageReader, Source, cached_by_part
from pipeline.errors import DataError

PAGE_CACHE_BYTES = 2**30  # a store up to this size stays in the system's page cache


class FileSource(Source):
    """A data set of image files.

    Args:
        root: its folder.
        options: options that change the images.
        reading: options of how they are read.

    Attributes:
        holds: the expected content of the folder, in words, for messages.
    """

    holds: str

    def __init__(self, root: Path, options: FileOptions, reading: Reading) -> None:
        super().__init__(root)
        self.options = options
        self.reading = reading

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

    @cached_by_part
    def _content(self, part: Part) -> str:
        paths = self._part(part).paths
        return content_digest(self.root, paths, self.reading.scratch, self.reading.workers)

    def fingerprint(self, part: Part) -> str:
        """Return a SHA-256 of the files' names and bytes, and of their labels and domains."""
        held = self._part(part)
        total = hashlib.sha256(self._content(part).encode())
        total.update(held.labels.tobytes())
        total.update(b"" if held.domains is None else held.domains.tobytes())
        return total.hexdigest()

    def _files(self, part: Part) -> ImageFiles:
        return ImageFiles(self.root, self._part(part).paths, self.options.resize)

    def _store_path(self, part: Part) -> Path:
        return store_path(self.reading.scratch, self._content(part), self.options.resize)

    @cached_by_part
    def _found_bad(self, part: Part) -> dict[int, str]:
        if not self.reading.look:
            return {}
        keep = self.reading.store == "cache"
        files, place = self._files(part), self._store_path(part)
        return find_bad_images(files, place, self.reading.workers, keep=keep)

    def images(self, part: Part) -> ImageReader:
        """Return the reader of the images; makes the store if it is wanted and missing."""
        files = self._files(part)
        if self.reading.store == "stream":
            return files
        self._found_bad(part)
        return Store(self._store_path(part), len(files), files.size)

    def workers(self, part: Part) -> int:
        """Return the number of reading processes; 0 if the store fits the page cache."""
        size = len(self._part(part).paths) * 3 * self.options.resize**2
        at_hand = self.reading.store == "cache" and size < PAGE_CACHE_BYTES
        return 0 if at_hand else self.reading.workers

    def unreadable(self, part: Part) -> dict[int, str]:
        """Return the unreadable images by index, each with the reason.

        Raises:
            DataError: there are some, and ``on_bad_image`` is ``error``.
        """
        found = self._found_bad(part)
        if found and self.options.on_bad_image == "error":
            paths = self._part(part).paths
            said = [f"{paths[number]} ({why})" for number, why in found.items()]
            raise DataError(
                f"{self.root}: {len(found)} of {len(paths)} images of the {part} part cannot be "
                f"used: {list_first(said)}; mend or remove them, or set data.on_bad_image: skip"
            )
        return found
