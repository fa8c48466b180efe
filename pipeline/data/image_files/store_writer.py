"""Decode all images of a data set once: find the bad ones, and write the store."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np

from pipeline.data.image_files.decode import DECODER_VERSION, BadImageError, read_square
from pipeline.data.image_files.store import ImageFiles, Store
from pipeline.data.source import Bytes
from pipeline.errors import DataError
from pipeline.files.atomic import find_unfinished
from pipeline.files.sealed_json import read_sealed, write_sealed
from pipeline.files.typed_json import get_typed

logger = logging.getLogger(__name__)
CHUNK = 32  # images that a thread decodes at a time
CHUNKS_PER_SYNC = 16  # chunks between two fsync calls
PROGRESS_SECONDS = 10  # between two lines of progress
NEW_SECONDS = 5  # a store older than this is locked by its writer, if that lives


def store_path(scratch: Path, fingerprint: str, size: int) -> Path:
    """Return the path of a store, named by the digest of its files and their size."""
    return scratch / f"{fingerprint[:32]}-{size}-{DECODER_VERSION}.uint8"


def find_bad_images(files: ImageFiles, place: Path, threads: int, *, keep: bool) -> dict[int, str]:
    """Return the bad images by index, each with the reason; decodes all images once.

    Args:
        files: the images.
        place: the path of the store, whether it exists or not; the findings are cached beside it.
        threads: decoding threads.
        keep: write the store if it is missing.

    Raises:
        DataError: the disk has too little room for the store.
    """
    found = _read_findings(place, len(files))
    store = Store(place, len(files), files.size)
    complete = place.is_file() and place.stat().st_size == store.row * len(files)
    if found is not None and (complete or not keep):
        return found
    found = _write(files, place, threads) if keep else _decode_only(files, threads)
    bad = {str(number): why for number, why in found.items()}
    write_sealed(_findings_path(place), {"count": len(files), "bad": bad})
    return found


def _findings_path(place: Path) -> Path:
    return place.with_suffix(".json")


def _read_findings(place: Path, count: int) -> dict[int, str] | None:
    try:
        held = read_sealed(_findings_path(place), DataError, "it is made again")
    except DataError:
        return None
    if held is None or held["count"] != count:
        return None
    return {int(number): why for number, why in get_typed(held, dict[str, str], "bad").items()}


def _decode_only(files: ImageFiles, threads: int) -> dict[int, str]:
    """Decode all images without keeping them; return the reasons of the bad ones, by index."""
    return _decode(files, threads, lambda number, image: None)


def _write(files: ImageFiles, place: Path, threads: int) -> dict[int, str]:
    """Write the store atomically; return the reasons of bad images, whose rows stay zero."""
    row = 3 * files.size * files.size
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
        for left in find_abandoned(place.parent):
            left.unlink(missing_ok=True)
        handle, name = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.")
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            fcntl.flock(handle, fcntl.LOCK_EX)  # for as long as this process lives
            os.truncate(handle, needed)
            bad = _decode(
                files,
                threads,
                lambda number, image: _write_at(handle, image, number * row),
                lambda: os.fsync(handle),
            )
            file.flush()
            os.fsync(handle)
        temporary.replace(place)
        temporary = None
    except OSError as error:
        raise DataError(f"cannot write {place}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
    return bad


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
    """Write an image's bytes at an offset, all of them."""
    content = np.ascontiguousarray(image).data.cast("B")
    while content:
        written = os.pwrite(handle, content, offset)
        content, offset = content[written:], offset + written


def _decode(
    files: ImageFiles,
    threads: int,
    take: Callable[[int, Bytes], None],
    between: Callable[[], None] = lambda: None,
) -> dict[int, str]:
    """Decode all images; return the reasons of the bad ones, by index.

    Args:
        files: the images.
        threads: threads that decode and call ``take``.
        take: called with each image's index and bytes, by several threads.
        between: called after every ``CHUNKS_PER_SYNC`` chunks, so that the disk keeps up.
    """

    def some(first: int) -> dict[int, str]:
        bad = {}
        for number in range(first, min(first + CHUNK, len(files))):
            try:
                image = read_square(files.root / files.paths[number], files.size)
            except BadImageError as error:
                bad[number] = str(error)
            else:
                take(number, image)
        return bad

    found: dict[int, str] = {}
    said = time.monotonic()
    with ThreadPoolExecutor(max(1, threads)) as pool:
        firsts = range(0, len(files), CHUNK)
        for count, bad in enumerate(pool.map(some, firsts), start=1):
            found |= bad
            if count % CHUNKS_PER_SYNC == 0:
                between()
            if time.monotonic() - said > PROGRESS_SECONDS:
                done = min(count * CHUNK, len(files))
                logger.info("%d of %d images of %s decoded", done, len(files), files.root)
                said = time.monotonic()
    return found
