"""Selections of images that are made in a test: of any reader, a store or files among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.data.source import Bytes, ImageReader, Keys, Selection, Source


@dataclass(frozen=True)
class Places:
    """Reads images at some places of another reader.

    Attributes:
        whole: reads all images.
        places: the indices of these, ``(M,)``.
    """

    whole: ImageReader
    places: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, places: NDArray[np.int64]) -> Bytes:
        """Return the images at indices ``places``, uint8 ``(B, C, H, W)``."""
        return self.whole[self.places[places]]


@dataclass(frozen=True)
class ReaderSelection(Selection):
    """Some images of a reader, which have no fingerprint.

    Attributes:
        whole: reads all images.
        places: the indices of these, ``(M,)``; None: all.
        processes: the number of reading processes.
    """

    whole: ImageReader
    places: NDArray[np.int64] | None = None
    processes: int = 0

    def __len__(self) -> int:
        return len(self.whole if self.places is None else self.places)

    def reader(self) -> ImageReader:
        """Return the reader of these images."""
        return self.whole if self.places is None else Places(self.whole, self.places)

    def workers(self) -> int:
        """Return the number of processes to read training batches."""
        return self.processes

    def fingerprint(self) -> str:
        """Images of a test have none."""
        raise NotImplementedError

    def set_fingerprint(self) -> str:
        """Images of a test have none."""
        raise NotImplementedError


def select_part(source: Source, part: str, chosen: Sequence[int] | None = None) -> Selection:
    """Return the images of a part, or those at some places of it."""
    keys: Keys = source.keys(part)  # type: ignore[arg-type]
    if chosen is not None:
        keys = [keys[place] for place in chosen]  # type: ignore[assignment]
    return source.select(part, keys)  # type: ignore[arg-type]


def read_part(source: Source, part: str, chosen: Sequence[int] | None = None) -> Bytes:
    """Return the pixels of a part, or of those at some places of it, ``(N, C, H, W)``."""
    selection = select_part(source, part, chosen)
    return selection.reader()[np.arange(len(selection))]
