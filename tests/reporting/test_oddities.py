"""What is said of images that are odd."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.data.datasets.image_folder import ImageFolder
from pipeline.reporting.oddities import describe_oddities
from tests.support.image_files import file_options, reading
from tests.support.streams import cut


def test_test_images_that_all_tasks_share_count_once(tmp_path: Path) -> None:
    root = tmp_path / "images"
    for place, folder in enumerate(("train/a", "train/b", "test/a", "test/b")):
        (root / folder).mkdir(parents=True)
        for n in range(6):
            pixels = np.random.default_rng(10 * place + n).integers(0, 256, (16, 16, 3), np.uint8)
            Image.fromarray(pixels if n else pixels * 0 + np.uint8(place)).save(
                root / folder / f"{n}.png"
            )
    (root / "test/b/again.png").write_bytes((root / "test/b/1.png").read_bytes())
    (root / "test/b/seen.png").write_bytes((root / "train/a/1.png").read_bytes())
    splits = cut(ImageFolder(root, file_options(), reading(tmp_path / "scratch")), "data", 3)
    said = list(describe_oddities(splits))
    assert said[0].startswith("4 of 26 images are of a single color")
    assert said[1].startswith("2 images have the bytes of an earlier one")
    assert "1 test images are training images too" in said[1]
