"""Fashion-MNIST (Xiao et al., 2017): the subset in data/, or the whole data set."""

from __future__ import annotations

from pathlib import Path

from pipeline.data.datasets.array_source import ArraySource
from pipeline.data.datasets.idx import read_idx
from pipeline.data.parts import Part
from pipeline.data.source import Bytes
from pipeline.errors import DataError
from pipeline.files.sealed_json import file_digest

FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


class FashionMNIST(ArraySource):
    """Fashion-MNIST from four gzipped idx files in ``root``, or torchvision's copy (``full``)."""

    @property
    def _raw(self) -> Path:
        """The folder of torchvision's copy."""
        return self.root / "FashionMNIST" / "raw"

    def describe_download(self) -> str:
        """Return the full set's files, unless they are unpacked; empty for the subset."""
        there = all((self._raw / name).is_file() for pair in FILES.values() for name in pair)
        return "" if there or not self.full else f"Fashion-MNIST's four files in {self._raw}"

    def _read(self, part: Part) -> tuple[Bytes, Bytes]:
        folder, ending = self._full_folder() if self.full else self._subset_folder()
        image_path, label_path = (folder / f"{name}{ending}" for name in FILES[part])
        images, labels = read_idx(image_path), read_idx(label_path)
        fit = images.shape == (len(labels), 28, 28) and labels.ndim == 1 and len(labels) > 0
        if not fit or labels.max() > 9:
            raise DataError(
                f"{image_path} and {label_path.name} are not Fashion-MNIST: expected (N, 28, 28) "
                f"images and N labels from 0 to 9, got {images.shape} and {labels.shape}"
            )
        return images[:, None], labels

    def _subset_folder(self) -> tuple[Path, str]:
        """Return the subset's folder and file ending, checked against SHA256SUMS if it exists."""
        if not self.root.is_dir():
            raise DataError(
                f"data.root: the folder '{self.root}' is missing; "
                "`git checkout data/fashion_mnist` "
                "brings the subset back, or set data.full: true and data.root: data/raw"
            )
        sums = self.root / "SHA256SUMS"
        for line in sums.read_bytes().splitlines() if sums.is_file() else []:
            expected, _, name = line.decode(errors="replace").partition("  ")
            path = self.root / name
            if not path.is_file():
                raise DataError(f"{path} is missing; `git checkout {path}` brings it back")
            if file_digest(path) != expected:
                raise DataError(
                    f"{path} is damaged: its SHA-256 is not the one in {sums.name}; "
                    f"`git checkout {path}` brings it back"
                )
        return self.root, ".gz"

    def _full_folder(self) -> tuple[Path, str]:
        """Return the folder of the full set and its file ending; downloads it if it is missing."""
        from torchvision.datasets import FashionMNIST as Loader

        if (self.root / "SHA256SUMS").is_file():
            raise DataError(
                f"data.root: '{self.root}' holds the subset, and data.full is true; "
                "set data.root to another folder, e.g. data/raw"
            )
        try:
            Loader(str(self.root), download=True)
        except (RuntimeError, OSError) as error:
            reason = " ".join(str(error).split())
            raise DataError(
                f"data.full: the full set is not in {self._raw} and cannot be fetched ({reason}); "
                "put the four files train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, "
                "t10k-images-idx3-ubyte.gz and t10k-labels-idx1-ubyte.gz there, "
                "or set data.full: false"
            ) from error
        return self._raw, ""
