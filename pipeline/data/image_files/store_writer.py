"""Decode all images of a data set once: find the bad ones, and write the store."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pipeline.data.image_files.checksums import sum_rows
from pipeline.data.image_files.decode import DECODER_VERSION, BadImageError
from pipeline.data.image_files.store import ImageFiles, Store
from pipeline.data.source import Bytes
from pipeline.errors import DataError
from pipeline.files.atomic import find_unfinished, name_unfinished
from pipeline.files.sealed_json import read_sealed, write_sealed
from pipeline.files.typed_json import as_json, from_json

logger = logging.getLogger(__name__)
CHUNK = 32  # images that a thread decodes at a time
CHUNKS_PER_SYNC = 16  # chunks between two fsync calls
PROGRESS_SECONDS = 10  # between two lines of progress
NEW_SECONDS = 5  # a store older than this is locked by its writer, if that lives


@dataclass
class Findings:
    """The findings of decoding all images once.

    Attributes:
        count: the number of images.
        bad: those that cannot be read, by their index in digits, each with the reason.
        plain: the indices of those of a single color.
    """

    count: int
    bad: Mapping[str, str] = field(default_factory=dict)
    plain: Sequence[int] = ()


def store_path(scratch: Path, fingerprint: str, files: ImageFiles) -> Path:
    """Return the path of a store, named by the digest of its files and by how they are read."""
    pixels = f"{files.keep}-{files.size}-{files.interpolation}-{bytes(files.background).hex()}"
    return scratch / f"{fingerprint[:32]}-{pixels}-{DECODER_VERSION}.uint8"


def inspect_images(
    files: ImageFiles,
    place: Path,
    threads: int,
    *,
    keep: bool,
    require_same: Callable[[], None] = lambda: None,
) -> Findings:
    """Return which images are bad and which are plain; decodes all images once.

    Args:
        files: the images.
        place: the path of the store, whether it exists or not; the findings are cached beside it.
        threads: decoding threads.
        keep: write the store if it is missing.
        require_same: called once they are decoded, before anything is kept; raises an error if
            the files are no longer those that ``place`` is named after.

    Raises:
        DataError: the disk has too little room for the store.
    """
    found = _read_findings(place, len(files))
    store = files.store_in(place)
    complete = place.is_file() and place.stat().st_size == store.total
    if found is not None and (complete or not keep):
        return found
    if keep:
        found = _write(files, store, threads, require_same)
    else:
        found = _decode(files, threads, lambda number, image: None)
        require_same()
    write_sealed(_findings_path(place), as_json(found))
    return found


def _findings_path(place: Path) -> Path:
    return place.with_suffix(".json")


def _read_findings(place: Path, count: int) -> Findings | None:
    try:
        held = read_sealed(_findings_path(place), DataError, "it is made again")
        found = None if held is None else from_json(Findings, held)
    except (DataError, ValueError):
        return None
    return found if found is not None and found.count == count else None


def _write(
    files: ImageFiles, store: Store, threads: int, require_same: Callable[[], None]
) -> Findings:
    """Write the store atomically; the rows of bad images stay zero."""
    place = store.path
    temporary: Path | None = None
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        # Whole images leave some of their rows unwritten: they fill what squares would, or more.
        needed = 3 * files.size**2 * len(files)
        free = shutil.disk_usage(place.parent).free
        if needed > free:
            raise DataError(
                f"the store of {len(files)} images needs {needed / 1e9:.1f} GB in "
                f"{place.parent}, where {free / 1e9:.1f} GB are free; make room, lower "
                "data.resize or set data.store: stream"
            )
        for left in find_abandoned(place.parent):
            left.unlink(missing_ok=True)
        wanted = name_unfinished(place)
        handle = os.open(wanted, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        temporary = wanted
        with os.fdopen(handle, "wb") as file:
            fcntl.flock(handle, fcntl.LOCK_EX)  # for as long as this process lives
            os.truncate(handle, store.total)

            def take(number: int, image: Bytes) -> None:
                filled = np.ascontiguousarray(image).reshape(-1)
                _write_at(handle, filled, number * store.row)
                row = np.zeros((1, store.row), np.uint8)
                row[0, : len(filled)] = filled
                checksum = sum_rows(row).astype("<u8").view(np.uint8)
                _write_at(handle, checksum, store.checksum_offset(number))

            found = _decode(files, threads, take, lambda: os.fsync(handle))
            file.flush()
            os.fsync(handle)
        require_same()
        temporary.replace(place)
        temporary = None
    except OSError as error:
        raise DataError(f"cannot write {place}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
    return found


def find_abandoned(scratch: Path) -> list[Path]:
    """Return the unfinished stores of killed processes; a living writer holds a lock."""
    found = []
    for path in find_unfinished(scratch):
        with suppress(OSError), path.open("rb") as file:
            # A new file is unlocked for a moment; this waits far longer.
            if time.time() - path.stat().st_mtime > NEW_SECONDS:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                found.append(path)
    return found


def _write_at(handle: int, image: Bytes, offset: int) -> None:
    """Write bytes at an offset, all of them."""
    content = image.data.cast("B")
    while content:
        written = os.pwrite(handle, content, offset)
        content, offset = content[written:], offset + written


def _decode(
    files: ImageFiles,
    threads: int,
    take: Callable[[int, Bytes], None],
    between: Callable[[], None] = lambda: None,
) -> Findings:
    """Decode all images.

    Args:
        files: the images.
        threads: threads that decode and call ``take``.
        take: called with each image's index and bytes, by several threads.
        between: called after every ``CHUNKS_PER_SYNC`` chunks, so that the disk keeps up.
    """

    def some(first: int) -> Findings:
        bad: dict[str, str] = {}
        plain: list[int] = []
        for number in range(first, min(first + CHUNK, len(files))):
            try:
                image = files.read_file(number)
            except BadImageError as error:
                bad[str(number)] = str(error)
            else:
                take(number, image)
                if files.is_plain(image):
                    plain.append(number)
        return Findings(0, bad, plain)

    bad: dict[str, str] = {}
    plain: list[int] = []
    said = time.monotonic()
    with ThreadPoolExecutor(max(1, threads)) as pool:
        firsts = range(0, len(files), CHUNK)
        for count, found in enumerate(pool.map(some, firsts), start=1):
            bad |= found.bad
            plain += found.plain
            if count % CHUNKS_PER_SYNC == 0:
                between()
            if time.monotonic() - said > PROGRESS_SECONDS:
                done = min(count * CHUNK, len(files))
                logger.info("%d of %d images of %s decoded", done, len(files), files.root)
                said = time.monotonic()
    return Findings(len(files), bad, plain)
