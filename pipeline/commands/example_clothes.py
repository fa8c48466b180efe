"""The example stream of clothes: folders of the embedded images, the last to come later."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from pipeline.config.registry.datasets import DATASETS
from pipeline.data.datasets.fashion_mnist import FashionMNIST
from pipeline.data.datasets.transformed import TRANSFORMATIONS, Transformed
from pipeline.files.sealed_json import Json
from pipeline.layout import find_shipped

EMBEDDED = "data/fashion_mnist"
PER_CLASS = 50  # images of each class in a folder
# The params for such a stream, but for data.root.
PARAMS: Json = {
    "scenario": "folders",
    "data": {"domains": None, "image_size": 28},
    "train": {"batch_size": 64},
    "evaluation": {"few_labels": {"labels": 0.1}},
}


def make_files() -> dict[str, bytes]:
    """Return the images as PNG by their paths: domain, class, number.

    Raises:
        PipelineError: the embedded images are not here.
    """
    classes = DATASETS["fashion_mnist"].classes
    source = Transformed(
        FashionMNIST(find_shipped(EMBEDDED), False, classes), list(TRANSFORMATIONS)
    )
    images, labels, domains = (
        source.images("train"),
        source.labels("train"),
        source.domains("train"),
    )
    files = {}
    for number, name in enumerate(TRANSFORMATIONS):
        for label, kind in enumerate(classes):
            chosen = np.flatnonzero((domains == number) & (labels == label))[:PER_CLASS]
            for place in chosen.tolist():
                content = io.BytesIO()
                Image.fromarray(images[place, 0]).save(content, format="png")
                path = f"{number + 1}-{name}/{kind.replace('/', '-')}/{place}.png"
                files[path] = content.getvalue()
    return files
