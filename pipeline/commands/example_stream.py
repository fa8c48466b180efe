"""example-stream: folders of the embedded images, to try a stream that grows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.config.registry.datasets import DATASETS
from pipeline.data.datasets.fashion_mnist import FashionMNIST
from pipeline.data.datasets.transformed import TRANSFORMATIONS, Transformed
from pipeline.errors import RunError

EMBEDDED = Path("data/fashion_mnist")
PER_CLASS = 50  # images of each class in a folder


def run(stream: Path, incoming: Path) -> None:
    """Write a folder of class folders for each of the embedded domains, the last one apart.

    Args:
        stream: where the folders go that are learnt first.
        incoming: where the last one goes, as if it came later.

    Raises:
        PipelineError: the embedded images are not here, or a folder is not empty.
    """
    for folder in (stream, incoming):
        if folder.exists() and any(folder.iterdir()):
            raise RunError(f"{folder} is not empty; name another folder, or remove it")
    classes = DATASETS["fashion_mnist"].classes
    source = Transformed(FashionMNIST(EMBEDDED, False, classes), list(TRANSFORMATIONS))
    images, labels, domains = (
        source.images("train"),
        source.labels("train"),
        source.domains("train"),
    )
    names = list(TRANSFORMATIONS)
    for number, name in enumerate(names):
        root = incoming if number == len(names) - 1 else stream
        for label, kind in enumerate(classes):
            folder = root / f"{number + 1}-{name}" / kind.replace("/", "-")
            folder.mkdir(parents=True)
            chosen = np.flatnonzero((domains == number) & (labels == label))[:PER_CLASS]
            for place in chosen.tolist():
                Image.fromarray(images[place, 0]).save(folder / f"{place}.png")
    print(f"{stream}: {len(names) - 1} folders of {PER_CLASS * len(classes)} images")
    print(f"{incoming}: one more, {number + 1}-{name}")
