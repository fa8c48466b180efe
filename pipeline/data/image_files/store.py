"""Readers of image files: decoded at each read, or from a store of decoded bytes.

A store is not an output of DVC. It lies under ``.scratch/images``, named by its content: the
digest of the files, how they are read, and the version of the decoder. A missing store is made
anew, so it can be deleted at any time. Only the requested rows are read, so memory does not grow
with the number of images. A row holds an image as ``(H, W, 3)``: a square as decoders return it, a
whole image on its canvas, of which what the image does not fill is never written, so that most
file systems keep no room for it. The checksums of all rows stand behind the last one, and a row is
checked whenever it is read.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.data.canvas import begin_canvas, canvas_shape
from pipeline.data.image_files.checksums import CHECKSUM_BYTES, sum_rows
from pipeline.data.image_files.decode import BadImageError, read_square, read_whole
from pipeline.data.image_files.file_options import Color, Keep
from pipeline.data.interpolation import Interpolation
from pipeline.data.source import Bytes
from pipeline.errors import DataError


def row_shape(size: int, keep: Keep) -> tuple[int, int]:
    """Return height and width of what a row holds: of a square, or of a canvas."""
    return (size, size) if keep == "square" else canvas_shape(size)


@dataclass(frozen=True)
class ImageFiles:
    """Reads image files, and decodes them at each read.

    Attributes:
        root: the files' folder.
        paths: the files, relative to the root.
        size: height and width of squares in pixels, the shorter side of whole images.
        background: the color behind transparent pixels.
        interpolation: how they are resized.
        keep: their central squares, or the whole of them.
    """

    root: Path
    paths: Sequence[str]
    size: int
    background: Color
    interpolation: Interpolation
    keep: Keep = "square"

    def read_file(self, place: int) -> Bytes:
        """Return one image, uint8 ``(size, size, 3)``, or the rows that it fills of a canvas.

        Raises:
            BadImageError: it cannot be read.
        """
        path = self.root / self.paths[place]
        if self.keep == "square":
            return read_square(path, self.size, self.background, self.interpolation)
        return begin_canvas(read_whole(path, self.size, self.background, self.interpolation))

    def store_in(self, path: Path) -> Store:
        """Return the reader of a store of these images."""
        return Store(path, len(self), self.size, self.keep)

    def is_plain(self, image: Bytes) -> bool:
        """Return whether an image as ``read_file`` returns it is of a single color."""
        pixels = image if self.keep == "square" else image[1:]
        return bool((pixels == pixels[0, 0]).all())

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, places: NDArray[np.int64]) -> Bytes:
        """Return the images at indices ``places``, uint8 ``(B, 3, *row_shape(size, keep))``.

        Raises:
            DataError: a file cannot be read.
        """
        found = np.zeros((len(places), *row_shape(self.size, self.keep), 3), np.uint8)
        for row, place in enumerate(places):
            try:
                image = self.read_file(place)
            except BadImageError as error:
                path = self.root / self.paths[place]
                raise DataError(f"{path} is {error}; run `cassle prepare` again") from error
            found[row, : len(image)] = image
        return found.transpose(0, 3, 1, 2)


@dataclass(frozen=True)
class Store:
    """Reads decoded images from one file, a row each.

    Attributes:
        path: the file.
        count: the number of images.
        size: height and width of squares in pixels, the shorter side of whole images.
        keep: what of an image is kept.
    """

    path: Path
    count: int
    size: int
    keep: Keep = "square"

    def __len__(self) -> int:
        return self.count

    @property
    def row(self) -> int:
        """Bytes of a row."""
        height, width = row_shape(self.size, self.keep)
        return 3 * height * width

    @property
    def total(self) -> int:
        """Bytes of the file."""
        return (self.row + CHECKSUM_BYTES) * self.count

    def checksum_offset(self, place: int) -> int:
        """Return where in the file the checksum of an image stands."""
        return self.row * self.count + CHECKSUM_BYTES * place

    def __getitem__(self, places: NDArray[np.int64]) -> Bytes:
        """Return the images at indices ``places``, uint8 ``(B, 3, *row_shape(size, keep))``.

        Read, not mapped: pages of a mapped file would count as this process's memory.

        Raises:
            DataError: the file is missing, too short or damaged.
        """
        found = np.empty((len(places), self.row), np.uint8)
        try:
            with self.path.open("rb", buffering=0) as file:
                for row, place in enumerate(places):
                    file.seek(int(place) * self.row)
                    if file.readinto(found[row].data) != self.row:
                        raise OSError("it is too short")
            damaged = np.flatnonzero(sum_rows(found) != self._checksums[places])
            if len(damaged):
                raise OSError(f"image {places[damaged[0]]} is damaged")
        except OSError as error:
            raise DataError(
                f"the store {self.path} cannot be read ({error.strerror or error}); delete it, "
                "and it is made again"
            ) from error
        return found.reshape(-1, *row_shape(self.size, self.keep), 3).transpose(0, 3, 1, 2)

    @functools.cached_property
    def _checksums(self) -> NDArray[np.uint64]:
        """The checksums of the images, ``(N,)``."""
        try:
            found = np.fromfile(self.path, "<u8", self.count, offset=self.checksum_offset(0))
        except ValueError as error:
            raise OSError("it is too short") from error
        if len(found) < self.count:
            raise OSError("it is too short")
        return found
