"""Checksums of the rows of a store, many at once."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from pipeline.data.source import Bytes

CHECKSUM_BYTES = 8


@functools.cache
def _weights(count: int) -> NDArray[np.uint64]:
    """Return fixed odd 64-bit numbers, ``(count,)``."""
    # The raw stream of PCG64 is the same in every version of NumPy.
    drawn: NDArray[np.uint64] = np.random.PCG64(0).random_raw(count)
    return drawn | np.uint64(1)


def sum_rows(rows: Bytes) -> NDArray[np.uint64]:
    """Return a checksum of each row, ``(B,)``: a weighted sum of its 64-bit words, modulo 2^64.

    The weights are odd, so that a single changed word always shows. It guards against damage,
    not against forgery; a cryptographic digest takes 20 times as long.

    Args:
        rows: uint8 ``(B, N)``.
    """
    whole = rows.shape[1] // CHECKSUM_BYTES * CHECKSUM_BYTES
    words, rest = rows[:, :whole].view(np.uint64), rows[:, whole:].astype(np.uint64)
    weights = _weights(words.shape[1] + rest.shape[1])
    return words @ weights[: words.shape[1]] + rest @ weights[words.shape[1] :]
