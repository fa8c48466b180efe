"""example-stream: folders of the embedded images, to try a stream that grows."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.config.presets import merge
from pipeline.config.read import parse_params
from pipeline.config.registry.datasets import DATASETS
from pipeline.data.datasets.fashion_mnist import FashionMNIST
from pipeline.data.datasets.transformed import TRANSFORMATIONS, Transformed
from pipeline.errors import RunError
from pipeline.files.atomic import rewrite_text, write_bytes
from pipeline.files.sealed_json import Json, dump_json

EMBEDDED = Path("data/fashion_mnist")
PER_CLASS = 50  # images of each class in a folder
# The params for such a stream, but for data.root.
PARAMS: Json = {
    "dataset": "image_folder",
    "scenario": "folders",
    "num_tasks": None,
    "class_order": None,
    "data": {"full": False, "folders": None, "image_size": 28, "resize": None},
    "train": {"batch_size": 64},
    "evaluation": {"few_labels": {"labels": 0.1}},
}


def run(path: Path, stream: Path, incoming: Path) -> None:
    """Write a folder of class folders for each of the embedded domains, the last one apart.

    Args:
        path: the params file, which is set for this stream; its comments stay.
        stream: where the folders go that are learnt first.
        incoming: where the last one goes, as if it came later.

    Raises:
        PipelineError: the embedded images are not here, or a folder is not empty.
    """
    for folder in (stream, incoming):
        if folder.exists() and any(folder.iterdir()):
            raise RunError(f"{folder} is not empty; name another folder, or remove it")
    text, changes = merge(path.read_text(encoding="utf-8"), dump_json(PARAMS))
    text, root_changed = merge(text, dump_json({"data": {"root": stream.as_posix()}}))
    parse_params(text, f"{path} for this stream")
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
                content = io.BytesIO()
                Image.fromarray(images[place, 0]).save(content, format="png")
                write_bytes(folder / f"{place}.png", content.getvalue())
    rewrite_text(path, text)
    print(f"{stream}: {len(names) - 1} folders of {PER_CLASS * len(classes)} images")
    print(f"{incoming}: one more, {number + 1}-{name}")
    for line in [*changes, *root_changed]:
        print(f"{path}: {line}")
