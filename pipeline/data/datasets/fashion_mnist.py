"""Fashion-MNIST (Xiao et al., 2017): the subset in data/, or the whole data set."""

from __future__ import annotations

from pathlib import Path

from pipeline.data.datasets.idx import read_idx
from pipeline.data.datasets.idx_source import FILES, IdxSource, check_shapes
from pipeline.data.parts import Part
from pipeline.data.source import Bytes
from pipeline.errors import DataError
from pipeline.files.checksum_files import SUMS, read_sums
from pipeline.files.sealed_json import file_digest


class FashionMNIST(IdxSource):
    """Fashion-MNIST from four gzipped idx files in ``root``; the published ones with ``full``."""

    title = "FashionMNIST"
    digests = (
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    )

    def _read(self, part: Part) -> tuple[Bytes, Bytes]:
        if self.full:
            if (self.root / SUMS).is_file():
                raise DataError(
                    f"data.root: '{self.root}' holds the subset, and data.full is true; "
                    "set data.root to another folder, e.g. data/raw"
                )
            return self._read_published(part)
        folder = self._subset_folder()
        image_path, label_path = (folder / f"{name}.gz" for name in FILES[part])
        images, labels = read_idx(image_path), read_idx(label_path)
        return check_shapes("Fashion-MNIST", images, labels, image_path, label_path)

    def _subset_folder(self) -> Path:
        """Return the subset's folder, checked against SHA256SUMS if it exists."""
        if not self.root.is_dir():
            raise DataError(
                f"data.root: the folder '{self.root}' is missing; "
                "`git checkout data/fashion_mnist` "
                "brings the subset back, or set data.full: true and data.root: data/raw"
            )
        sums = read_sums(self.root) if (self.root / SUMS).is_file() else {}
        for name, expected in sums.items():
            path = self.root / name
            if not path.is_file():
                raise DataError(f"{path} is missing; `git checkout {path}` brings it back")
            if file_digest(path) != expected:
                raise DataError(
                    f"{path} is damaged: its SHA-256 is not the one in {SUMS}; "
                    f"`git checkout {path}` brings it back"
                )
        return self.root
