"""Images of files, decoded when they are read or once into a file of bytes.

A store lies outside DVC's outputs, under ``.scratch/images``, and is named by what is in it: the
digest of the files, the size, and the version of the decoder. It is made where it is missing,
and can be deleted at any time. Reading takes the rows that are asked for, so memory does not
grow with the number of images. Rows hold the colours of a pixel beside each other, as decoders
leave them.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.data.decode import VERSION, BadImageError, read_square
from pipeline.data.source import Bytes
from pipeline.errors import DataError
from pipeline.files import write_json

logger = logging.getLogger(__name__)
AHEAD = 128  # images that may wait for the disk
SECONDS = 10  # between two lines of progress


@dataclass(frozen=True)
class Files:
    """Image files, read as squares.

    Attributes:
        root: the folder that holds them.
        paths: relative to it.
        size: height and width of the squares in pixels.
    """

    root: Path
    paths: Sequence[str]
    size: int

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, places: NDArray[np.int64]) -> Bytes:
        """Return the images at ``places``, decoded now, ``(B, 3, size, size)``.

        Raises:
            DataError: one cannot be read.
        """
        found = np.empty((len(places), self.size, self.size, 3), np.uint8)
        for row, place in enumerate(places):
            path = self.root / self.paths[place]
            try:
                found[row] = read_square(path, self.size)
            except BadImageError as error:
                raise DataError(f"{path} is {error}; run `cassle prepare` again") from error
        return found.transpose(0, 3, 1, 2)

    def decoded(self, threads: int) -> Iterator[Bytes | BadImageError]:
        """Yield each image in order, or why it cannot be read."""

        def read(path: str) -> Bytes | BadImageError:
            try:
                return read_square(self.root / path, self.size)
            except BadImageError as error:
                return error

        yield from in_order(read, self.paths, threads)


@dataclass(frozen=True)
class Store:
    """Squares in one file of bytes, a row each.

    Attributes:
        path: of the file.
        count: the number of images.
        size: height and width in pixels.
    """

    path: Path
    count: int
    size: int

    def __len__(self) -> int:
        return self.count

    @property
    def row(self) -> int:
        """Bytes an image."""
        return 3 * self.size * self.size

    def __getitem__(self, places: NDArray[np.int64]) -> Bytes:
        """Return the images at ``places``, ``(B, 3, size, size)``.

        Read, not mapped: pages of a mapped file would count as this process's memory.

        Raises:
            DataError: the file is gone or too short.
        """
        found = np.empty((len(places), self.size, self.size, 3), np.uint8)
        try:
            with self.path.open("rb", buffering=0) as file:
                for row, place in enumerate(places):
                    file.seek(int(place) * self.row)
                    if file.readinto(found[row].data) != self.row:
                        raise OSError("it is too short")
        except OSError as error:
            raise DataError(
                f"the store {self.path} cannot be read ({error.strerror or error}); delete it, "
                "and it is made again"
            ) from error
        return found.transpose(0, 3, 1, 2)


def in_order(
    work: Callable[[str], Bytes | BadImageError], items: Sequence[str], threads: int
) -> Iterator[Bytes | BadImageError]:
    """Yield ``work(item)`` for each item in order, worked on by threads a little ahead."""
    waiting: deque[Future[Bytes | BadImageError]] = deque()
    with ThreadPoolExecutor(max(1, threads)) as pool:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def place_of(scratch: Path, fingerprint: str, size: int) -> Path:
    """Return where the store of files with this digest is."""
    return scratch / f"{fingerprint[:32]}-{size}-{VERSION}.uint8"


def bad_images(files: Files, place: Path, threads: int, *, keep: bool) -> dict[int, str]:
    """Return the places of images that cannot be read, and why; decodes all of them once.

    Args:
        files: the images.
        place: where the store is or would be; what was found is written beside it.
        threads: that decode.
        keep: make the store, unless it is there.

    Raises:
        DataError: there is not enough room for the store.
    """
    found = _known(place, len(files))
    store = Store(place, len(files), files.size)
    complete = place.is_file() and place.stat().st_size == store.row * len(files)
    if found is not None and (complete or not keep):
        return found
    found = _write(files, place, threads) if keep else _reasons(files, threads)
    write_json(_beside(place), {"count": len(files), "bad": {str(n): w for n, w in found.items()}})
    return found


def _beside(place: Path) -> Path:
    return place.with_suffix(".json")


def _known(place: Path, count: int) -> dict[int, str] | None:
    try:
        held = json.loads(_beside(place).read_text(encoding="utf-8"))
        return {int(n): w for n, w in held["bad"].items()} if held["count"] == count else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _reasons(files: Files, threads: int) -> dict[int, str]:
    images = enumerate(_with_progress(files, threads))
    return {number: str(image) for number, image in images if isinstance(image, BadImageError)}


def _write(files: Files, place: Path, threads: int) -> dict[int, str]:
    """Write the store beside its place, then move it there; rows of bad images stay zero."""
    row = 3 * files.size * files.size
    bad: dict[int, str] = {}
    temporary: Path | None = None
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        needed, free = row * len(files), shutil.disk_usage(place.parent).free
        if needed > free:
            raise DataError(
                f"the store of {len(files)} images needs {needed / 1e9:.1f} GB in "
                f"{place.parent}, where {free / 1e9:.1f} GB are free; make room, lower "
                "data.resize or set data.store: stream"
            )
        handle, name = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.")
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            for number, image in enumerate(_with_progress(files, threads)):
                if isinstance(image, BadImageError):
                    bad[number] = str(image)
                    file.write(bytes(row))
                else:
                    file.write(image.data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(place)
        temporary = None
    except OSError as error:
        raise DataError(f"cannot write {place}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
    return bad


def _with_progress(files: Files, threads: int) -> Iterator[Bytes | BadImageError]:
    said = time.monotonic()
    for number, image in enumerate(files.decoded(threads), start=1):
        if time.monotonic() - said > SECONDS:
            logger.info("%d of %d images of %s decoded", number, len(files), files.root)
            said = time.monotonic()
        yield image
