"""The idx format of MNIST and its relatives."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from pipeline.data.source import Bytes
from pipeline.errors import DataError, explain_unreadable

UNSIGNED_BYTE = 8
MAX_DIMENSIONS = 4


def read_idx(path: Path) -> Bytes:
    """Return the array of bytes in an idx file, gzipped or not.

    Raises:
        DataError: the file is missing, truncated, or no idx file of bytes.
    """
    return parse_idx(read_content(path), path)


def read_content(path: Path) -> bytes:
    """Return the content of a file, unpacked if it is gzipped.

    Raises:
        DataError: the file is missing or truncated.
    """
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except FileNotFoundError:
        raise DataError(f"{path} is missing") from None
    except PermissionError as error:
        raise DataError(explain_unreadable(path, error)) from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is truncated or damaged: {error}") from error


def parse_idx(content: bytes, path: Path) -> Bytes:
    """Return the array of bytes in the content of an idx file.

    Args:
        content: unpacked.
        path: the file, for messages.

    Raises:
        DataError: it is truncated, or no idx file of bytes.
    """
    if len(content) < 4 or content[:3] != bytes([0, 0, UNSIGNED_BYTE]):
        raise DataError(f"{path} is no idx file of bytes: it begins with {content[:4]!r}")
    dimensions = content[3]
    if not 1 <= dimensions <= MAX_DIMENSIONS:
        raise DataError(
            f"{path} is damaged: an array of {dimensions} dimensions, expected 1 to "
            f"{MAX_DIMENSIONS}"
        )
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise DataError(f"{path} is truncated: its header alone takes {start} bytes")
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    if len(content) - start != math.prod(shape):
        raise DataError(
            f"{path} is truncated or damaged: {math.prod(shape)} bytes expected for shape "
            f"{shape}, got {len(content) - start}"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
