"""Cached digests of many files."""

from __future__ import annotations

import functools
import hashlib
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import DataError
from pipeline.files.sealed_json import add_digests, file_digest, read_sealed, write_sealed
from pipeline.files.typed_json import get_typed

MAX_NAMED = 10  # files that a message names
UNREADABLE = "-"  # in place of an unreadable file's digest
DIGITS = 64  # of a SHA-256
TICK_SECONDS = 2  # above the resolution of any disk's times


@dataclass(frozen=True)
class Content:
    """Digests of files' names and bytes.

    Attributes:
        paths: the files, relative to their folder, in order.
        each: the SHA-256 of each file's bytes; ``-`` of one that cannot be read.
    """

    paths: Sequence[str]
    each: Sequence[str]

    @functools.cached_property
    def ordered(self) -> str:
        """The SHA-256 of names and bytes in their order."""
        total = hashlib.sha256()
        for path, digest in zip(self.paths, self.each, strict=True):
            total.update(f"{path}\n{digest}\n".encode())
        return total.hexdigest()

    @functools.cached_property
    def as_set(self) -> str:
        """A digest of names and bytes that is the same for any order."""
        named = (f"{path}\n{digest}" for path, digest in zip(self.paths, self.each, strict=True))
        return add_digests(hashlib.sha256(each.encode()).hexdigest() for each in named)


def digest_content(root: Path, paths: Sequence[str], scratch: Path, threads: int) -> Content:
    """Return digests of files' names and bytes.

    They are cached under ``scratch`` by the files' names, sizes, places on disk and times, so
    later calls do not read the files. The time of the last change cannot be set by programs, so
    a file replaced by one of the same size and modification time is read again. An unreadable
    file counts by its name and nothing is cached; the decoder reports the error.

    Args:
        root: the files' folder.
        paths: the files, relative to the root, in order.
        scratch: the cache's folder.
        threads: reading threads.
    """
    listed, newest = hashlib.sha256(), 0.0
    for path in paths:
        try:
            found = (root / path).stat()
        except OSError:
            listed.update(f"{path}\n{UNREADABLE}\n".encode())
        else:
            newest = max(newest, found.st_ctime)
            times = f"{found.st_mtime_ns} {found.st_ctime_ns}"
            listed.update(f"{path}\n{found.st_size} {found.st_ino} {times}\n".encode())
    kept = scratch / f"{listed.hexdigest()[:32]}.json"
    started = time.time()
    each = _read_known(kept, len(paths))
    if each is None:
        with ThreadPoolExecutor(max(1, threads)) as pool:
            each = list(pool.map(_digest_or_unreadable, (root / path for path in paths)))
        # A file may change twice within one tick of the disk's clock.
        if UNREADABLE not in each and started - newest > TICK_SECONDS:
            write_sealed(kept, {"each": "".join(each)})
    return Content(paths, each)


def _read_known(kept: Path, count: int) -> list[str] | None:
    """Return the cached digests of so many files; None if there are none."""
    try:
        held = read_sealed(kept, DataError, "it is made again")
        known = "" if held is None else get_typed(held, str, "each")
    except (DataError, ValueError):
        return None
    if count == 0 or len(known) != DIGITS * count:
        return None
    return [known[start : start + DIGITS] for start in range(0, len(known), DIGITS)]


def _digest_or_unreadable(path: Path) -> str:
    try:
        return file_digest(path)
    except OSError:
        return UNREADABLE


def list_first(items: Sequence[str]) -> str:
    """Return the first ten items and the number of the others, as text."""
    more = len(items) - MAX_NAMED
    return ", ".join(items[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")
