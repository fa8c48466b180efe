"""MNIST (LeCun et al., 1998), as torchvision keeps it."""

from __future__ import annotations

from pathlib import Path

from pipeline.data.datasets.array_source import ArraySource
from pipeline.data.datasets.idx import read_idx
from pipeline.data.parts import Part
from pipeline.data.source import Bytes
from pipeline.errors import DataError

FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


class MNIST(ArraySource):
    """MNIST in torchvision's folder under ``root``, downloaded and checked by torchvision."""

    @property
    def _raw(self) -> Path:
        return self.root / "MNIST" / "raw"

    def describe_download(self) -> str:
        """Return the four files, unless they are unpacked; empty without ``full``."""
        there = all((self._raw / name).is_file() for pair in FILES.values() for name in pair)
        return "" if there or not self.full else f"MNIST's four files in {self._raw}"

    def _read(self, part: Part) -> tuple[Bytes, Bytes]:
        from torchvision import datasets

        if not self.full:
            raise DataError(
                "data.full: MNIST has no subset that comes with the project; "
                "set data.full: true and data.root: data/raw"
            )
        try:
            datasets.MNIST(str(self.root), download=True)
        except (RuntimeError, OSError) as error:
            reason = " ".join(str(error).split())
            raise DataError(
                f"MNIST is not in {self._raw} and cannot be fetched ({reason}); put the four "
                "files train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, "
                "t10k-images-idx3-ubyte.gz and t10k-labels-idx1-ubyte.gz there"
            ) from error
        images, labels = (read_idx(self._raw / name) for name in FILES[part])
        if images.shape != (len(labels), 28, 28) or labels.ndim != 1 or labels.max(initial=0) > 9:
            raise DataError(
                f"{self._raw} is not MNIST: expected (N, 28, 28) images and N labels from 0 to 9, "
                f"got {images.shape} and {labels.shape}"
            )
        return images[:, None], labels
