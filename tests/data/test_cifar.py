"""CIFAR-10 and CIFAR-100 read from files in their own layout."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
from torchvision import datasets

from pipeline.config.registry.datasets import DATASETS
from pipeline.data.datasets.array_source import ArraySource
from pipeline.data.datasets.cifar import CIFAR10, CIFAR100
from pipeline.errors import DataError
from tests.support.selections import select_part

COUNT = 6


def batch(seed: int, labels: str) -> dict[str, object]:
    random = np.random.default_rng(seed)
    data = random.integers(0, 256, (COUNT, 3072), dtype=np.uint8)
    return {"data": data, labels: random.integers(0, 10, COUNT).tolist()}


@pytest.fixture(params=["CIFAR10", "CIFAR100"])
def name(request: pytest.FixtureRequest) -> str:
    value: str = request.param
    return value


@pytest.fixture
def source(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ArraySource:
    """A few images in torchvision's files, with their checksums."""
    loader, kind = getattr(datasets, name), {"CIFAR10": CIFAR10, "CIFAR100": CIFAR100}[name]
    folder = tmp_path / loader.base_folder
    folder.mkdir()
    sums = {}
    lists = {"train_list": loader.train_list, "test_list": loader.test_list}
    labels = "labels" if name == "CIFAR10" else "fine_labels"
    for number, file in enumerate(f for files in lists.values() for f, _ in files):
        (folder / file).write_bytes(pickle.dumps(batch(number, labels)))
        sums[file] = hashlib.md5((folder / file).read_bytes()).hexdigest()
    meta = pickle.dumps({loader.meta["key"]: ["a", "b"]})
    (folder / loader.meta["filename"]).write_bytes(meta)
    for key, files in lists.items():
        monkeypatch.setattr(loader, key, [[f, sums[f]] for f, _ in files])
    monkeypatch.setattr(loader, "meta", loader.meta | {"md5": hashlib.md5(meta).hexdigest()})
    return kind(tmp_path, True)


def test_images_and_labels_come_as_they_are_stored(source: ArraySource, name: str) -> None:
    files = 5 if name == "CIFAR10" else 1
    labels = "labels" if name == "CIFAR10" else "fine_labels"
    assert source.describe_download() == ""
    images = source.images("train")
    assert images.shape == (files * COUNT, 3, 32, 32)
    assert images.dtype == np.uint8
    first = batch(0, labels)
    assert np.array_equal(images[:COUNT].reshape(COUNT, -1), np.asarray(first["data"]))
    assert source.labels("train")[:COUNT].tolist() == first[labels]
    assert source.images("test").shape == (COUNT, 3, 32, 32)
    train, test = (select_part(source, part).fingerprint() for part in ("train", "test"))
    assert train != test


def test_a_damaged_file_that_cannot_be_fetched_says_what_to_do(
    source: ArraySource, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*arguments: object, **options: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", offline)
    folder = source.root / type(source).folder  # type: ignore[attr-defined]
    next(folder.glob("*test*")).write_bytes(b"rubbish")
    with pytest.raises(DataError, match=r"cannot be fetched \(no network\); put cifar-10.*gz"):
        source.images("train")


def test_there_is_no_subset(source: ArraySource) -> None:
    with pytest.raises(DataError, match=r"set data\.full: true and data\.root: data/raw"):
        type(source)(source.root, False).labels("train")


def test_the_registry_names_as_many_classes_as_there_are() -> None:
    assert len(set(DATASETS["cifar10"].classes)) == 10
    assert len(set(DATASETS["cifar100"].classes)) == 100
    assert list(DATASETS["cifar100"].classes) == sorted(DATASETS["cifar100"].classes)
