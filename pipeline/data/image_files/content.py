"""Cached digests of many files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import DataError
from pipeline.files.sealed_json import add_digests, file_digest, read_sealed, write_sealed
from pipeline.files.typed_json import as_json, from_json

MAX_NAMED = 10  # files that a message names
UNREADABLE = "-"  # in place of an unreadable file's digest


@dataclass(frozen=True)
class Content:
    """Digests of files' names and bytes.

    Attributes:
        ordered: the SHA-256 of them in their order.
        as_set: one that is the same for any order.
    """

    ordered: str
    as_set: str


def digest_content(root: Path, paths: Sequence[str], scratch: Path, threads: int) -> Content:
    """Return digests of files' names and bytes.

    They are cached under ``scratch`` by the files' names, sizes and modification times, so later
    calls do not read the files. An unreadable file counts by its name and nothing is cached;
    the decoder reports the error.

    Args:
        root: the files' folder.
        paths: the files, relative to the root, in order.
        scratch: the cache's folder.
        threads: reading threads.
    """
    listed, total = hashlib.sha256(), hashlib.sha256()
    for path in paths:
        try:
            status = (root / path).stat()
        except OSError:
            listed.update(f"{path}\n{UNREADABLE}\n".encode())
        else:
            listed.update(f"{path}\n{status.st_size} {status.st_mtime_ns}\n".encode())
    kept = scratch / f"{listed.hexdigest()[:32]}.json"
    with suppress(DataError, ValueError):
        if (known := read_sealed(kept, DataError, "it is made again")) is not None:
            return from_json(Content, known)
    unreadable = 0
    each = []
    with ThreadPoolExecutor(max(1, threads)) as pool:
        digests = pool.map(_digest_or_unreadable, (root / path for path in paths))
        for path, digest in zip(paths, digests, strict=True):
            total.update(f"{path}\n{digest}\n".encode())
            each.append(hashlib.sha256(f"{path}\n{digest}".encode()).hexdigest())
            unreadable += digest == UNREADABLE
    content = Content(total.hexdigest(), add_digests(each))
    if unreadable == 0:
        write_sealed(kept, as_json(content))
    return content


def _digest_or_unreadable(path: Path) -> str:
    try:
        return file_digest(path)
    except OSError:
        return UNREADABLE


def list_first(items: Sequence[str]) -> str:
    """Return the first ten items and the number of the others, as text."""
    more = len(items) - MAX_NAMED
    return ", ".join(items[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")
