"""The digest of many files, computed again only where one of them has changed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from pipeline.errors import DataError
from pipeline.files import file_digest, read_sealed, write_sealed

FIRST = 10  # files that a message names


def content_digest(root: Path, paths: Sequence[str], scratch: Path, threads: int) -> str:
    """Return a SHA-256 of files' names and bytes.

    Once computed it is kept under ``scratch``, by the files' names, sizes and times of change:
    a stage then looks at those alone.

    Args:
        root: the folder that holds them.
        paths: relative to it, in order.
        scratch: a folder for what can be computed again.
        threads: that read.

    Raises:
        DataError: files are missing or cannot be read.
    """
    listed, missing = hashlib.sha256(), []
    for path in paths:
        try:
            status = (root / path).stat()
        except OSError:
            missing.append(path)
            continue
        listed.update(f"{path}\n{status.st_size} {status.st_mtime_ns}\n".encode())
    if missing:
        raise DataError(
            f"{root}: {len(missing)} of {len(paths)} images are missing: {first(missing)}"
        )
    kept = scratch / f"{listed.hexdigest()[:32]}.json"
    with suppress(DataError):
        if (known := read_sealed(kept, DataError, "it is made again")) is not None:
            return str(known["content"])
    total = hashlib.sha256()
    try:
        with ThreadPoolExecutor(max(1, threads)) as pool:
            digests = pool.map(file_digest, (root / path for path in paths))
            for path, digest in zip(paths, digests, strict=True):
                total.update(f"{path}\n{digest}\n".encode())
    except OSError as error:
        raise DataError(f"{error.filename} cannot be read: {error.strerror}") from error
    write_sealed(kept, {"content": total.hexdigest()})
    return total.hexdigest()


def first(items: Sequence[str]) -> str:
    """Return the first ten, and how many more there are."""
    more = len(items) - FIRST
    return ", ".join(items[:FIRST]) + (f" and {more} more" if more > 0 else "")
