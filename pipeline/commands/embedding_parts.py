"""The features that `embed` has so far: in its output, and in parts beside it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.artifacts.embeddings import Embeddings, read_embeddings, write_embeddings
from pipeline.errors import RunError
from pipeline.files.atomic import remove_unfinished
from pipeline.reporting.text_formats import show_controls

DIGITS = 6  # of a part's number
PART_IMAGES, PART_SECONDS = 4096, 30.0  # after which a part is written


@dataclass(frozen=True)
class Row:
    """The features of an image, and what its file was like.

    Attributes:
        size: its bytes.
        time: when it was last changed, in nanoseconds.
        features: float32 ``(F,)``.
    """

    size: int
    time: int
    features: NDArray[np.float32]


def gather(
    identity: str, root: Path, rows: Mapping[str, Row], bad: Mapping[str, str]
) -> Embeddings:
    """Return the rows of images as embeddings."""
    return Embeddings(
        encoder=identity,
        root=str(root.resolve()),
        paths=list(rows),
        features=np.stack([row.features for row in rows.values()]),
        sizes=np.array([row.size for row in rows.values()], np.int64),
        times=np.array([row.time for row in rows.values()], np.int64),
        unreadable=dict(bad),
    )


class Parts:
    """The features that are on disk: in the output, and in parts beside it until it is whole.

    Args:
        file: the output; None: nothing is kept.
        identity: of the encoder.
        root: the folder of the images.
    """

    def __init__(self, file: Path | None, identity: str, root: Path) -> None:
        self.file = file
        self.identity = identity
        self.root = root
        self.waiting: dict[str, Row] = {}
        self.written = time.monotonic()
        self.count = 0

    @property
    def folder(self) -> Path:
        """The folder of the parts."""
        assert self.file is not None, "nothing is kept"
        return self.file.with_name(f".{self.file.name}.parts")

    def _list(self) -> list[Path]:
        return sorted(self.folder.glob(f"{'[0-9]' * DIGITS}.npz"))

    def read(self, *, replace: bool) -> dict[str, Row]:
        """Return what is there already, by path; parts of other encoders or folders do not count.

        Raises:
            RunError: the output is no file of embeddings, or of another encoder or folder and not
                to be replaced.
        """
        if self.file is None:
            return {}
        known: dict[str, Row] = {}
        if self.file.exists():
            held = read_embeddings(self.file)
            other = self._find_difference(held)
            if other is None:
                known |= read_rows(held)
            elif not replace:
                raise RunError(
                    f"{self.file} holds features of {other}; name another file, or add --force "
                    "to replace it"
                )
        for path in self._list():
            self.count = int(path.stem) + 1
            try:
                held = read_embeddings(path)
            except RunError:
                continue
            if self._find_difference(held) is None:
                known |= read_rows(held)
        return known

    def _find_difference(self, held: Embeddings) -> str | None:
        """What else the features are of, in words; None: they are of this encoder and folder."""
        if held.encoder != self.identity:
            return "another encoder"
        # Paths are relative to the folder: in another one they name other images.
        if held.root != str(self.root.resolve()):
            return f"another folder, {show_controls(held.root)}"
        return None

    def add(self, rows: Mapping[str, Row]) -> None:
        """Take rows in, and write a part now and then."""
        if self.file is None:
            return
        self.waiting |= rows
        late = time.monotonic() - self.written > PART_SECONDS
        if len(self.waiting) >= PART_IMAGES or (late and self.waiting):
            self.flush()

    def flush(self) -> None:
        """Write what is not yet on disk as a part."""
        if self.file is None or not self.waiting:
            return
        part = gather(self.identity, self.root, self.waiting, {})
        write_embeddings(self.folder / f"{self.count:0{DIGITS}}.npz", part)
        self.waiting, self.written, self.count = {}, time.monotonic(), self.count + 1

    def remove(self) -> None:
        """Remove the parts, once the output has all of them."""
        if not self.folder.is_dir():
            return
        for path in self._list():
            path.unlink(missing_ok=True)
        remove_unfinished(self.folder)
        if not any(self.folder.iterdir()):
            self.folder.rmdir()


def read_rows(held: Embeddings) -> dict[str, Row]:
    """Return the rows of embeddings, by path."""
    columns = zip(held.paths, held.sizes.tolist(), held.times.tolist(), held.features, strict=True)
    return {path: Row(size, changed, row) for path, size, changed, row in columns}
