"""Features of many image files: threads decode while the network runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.building.encoder import Encoder
from pipeline.data.image_files.decode import BadImageError
from pipeline.data.source import Bytes

CHUNK = 32  # images that a thread decodes at a time
AHEAD = 2  # batches that are decoded before the network asks for them


@dataclass(frozen=True)
class Batch:
    """The features of some image files.

    Attributes:
        paths: those that could be read.
        features: of these, float32 ``(N, F)``.
        bad: the others, each with the reason.
    """

    paths: Sequence[str]
    features: NDArray[np.float32]
    bad: Mapping[str, str]


def embed_batches(
    encoder: Encoder, root: Path, paths: Sequence[str], batch_size: int, threads: int
) -> Iterator[Batch]:
    """Yield the features of image files, a batch after another.

    Args:
        encoder: the encoder.
        root: the folder that paths are relative to.
        paths: the files.
        batch_size: files that pass the network together.
        threads: threads that decode.

    Raises:
        DataError: the memory is too small to decode a file.
    """
    pool = ThreadPoolExecutor(max(1, threads))
    waiting: deque[tuple[Sequence[str], Bytes, list[Future[dict[int, str]]]]] = deque()
    starts = iter(range(0, len(paths), batch_size))
    try:
        while True:
            while len(waiting) <= AHEAD and (start := next(starts, None)) is not None:
                some = paths[start : start + batch_size]
                pixels = np.empty((len(some), *encoder.pixel_shape), np.uint8)
                chunks = [
                    pool.submit(_decode, encoder, root, some, pixels, first)
                    for first in range(0, len(some), CHUNK)
                ]
                waiting.append((some, pixels, chunks))
            if not waiting:
                return
            some, pixels, chunks = waiting.popleft()
            bad: dict[int, str] = {}
            for chunk in chunks:
                bad |= chunk.result()
            good = [place for place in range(len(some)) if place not in bad]
            kept = pixels[good] if bad else pixels
            yield Batch(
                [some[place] for place in good],
                encoder.encode(kept),
                {some[place]: reason for place, reason in sorted(bad.items())},
            )
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _decode(
    encoder: Encoder, root: Path, paths: Sequence[str], pixels: Bytes, first: int
) -> dict[int, str]:
    """Decode some images into their rows; return the unreadable ones by index, with the reason."""
    bad = {}
    for place in range(first, min(first + CHUNK, len(paths))):
        try:
            pixels[place] = encoder.read(root / paths[place])
        except BadImageError as error:
            bad[place] = str(error)
    return bad
