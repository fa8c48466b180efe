"""CIFAR-10 and CIFAR-100 (Krizhevsky, 2009), as torchvision keeps them."""

from __future__ import annotations

import numpy as np

from pipeline.data.datasets.array_source import ArraySource
from pipeline.data.parts import Part
from pipeline.data.source import Bytes
from pipeline.errors import DataError


class CIFAR10(ArraySource):
    """CIFAR-10 in torchvision's folder under ``root``, downloaded and checked by torchvision."""

    archive = "cifar-10-python.tar.gz"
    folder = "cifar-10-batches-py"

    def describe_download(self) -> str:
        """Return the archive, unless torchvision's folder exists; empty without ``full``."""
        there = (self.root / self.folder).is_dir()
        return "" if there or not self.full else f"{self.archive} in {self.root}"

    def _read(self, part: Part) -> tuple[Bytes, Bytes]:
        from torchvision import datasets

        name = type(self).__name__
        if not self.full:
            raise DataError(
                f"data.full: {name} has no subset that comes with the project; "
                "set data.full: true and data.root: data/raw"
            )
        try:
            data = getattr(datasets, name)(str(self.root), train=part == "train", download=True)
        except (RuntimeError, OSError) as error:
            reason = " ".join(str(error).split())
            raise DataError(
                f"{name} is not in {self.root} and cannot be fetched ({reason}); "
                f"put {self.archive} there: it is checked and unpacked"
            ) from error
        images = np.ascontiguousarray(data.data.transpose(0, 3, 1, 2))
        return images, np.asarray(data.targets, np.uint8)


class CIFAR100(CIFAR10):
    """CIFAR-100, likewise."""

    archive = "cifar-100-python.tar.gz"
    folder = "cifar-100-python"
