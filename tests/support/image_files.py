"""Data sets of image files in their own layouts, made of the embedded images."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.data.image_files.file_options import FileOptions, Reading
from tests.support.params import ROOT

OPTIONS = {
    "resize": 16,
    "on_bad_image": "error",
    "holdout": 0.25,
    "class_list": None,
    "domains": None,
}


def embedded(count: int) -> np.ndarray:
    """Return the first test images, uint8 ``(count, 28, 28)``."""
    path = ROOT / "data/fashion_mnist/t10k-images-idx3-ubyte.gz"
    return np.frombuffer(gzip.decompress(path.read_bytes())[16:], np.uint8).reshape(-1, 28, 28)[
        :count
    ]


def save(path: Path, image: np.ndarray, mode: str = "RGB") -> Path:
    """Write an image, its format by its name's ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).convert(mode).save(path)
    return path


def tree(root: Path, counts: Mapping[str, int], ending: str = ".jpg") -> Path:
    """Write so many images into each folder."""
    images = iter(embedded(sum(counts.values())))
    for folder, count in counts.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            save(
                root
                / folder
                / f"{folder.replace('/', '_').replace('.', 'image')}_{number}{ending}",
                next(images),
            )
    return root


def file_options(**changes: object) -> FileOptions:
    return FileOptions(**(OPTIONS | changes))  # type: ignore[arg-type]


def reading(scratch: Path, store: str = "cache", workers: int = 2) -> Reading:
    return Reading(store, workers, scratch)  # type: ignore[arg-type]
