"""Fashion-MNIST, the cut into tasks, and the order of batches."""

from __future__ import annotations

import gc
import gzip
import hashlib
import importlib.util
import shutil
import weakref
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from pipeline import layout
from pipeline.data.batches import Images, TaskOrder, training_batches
from pipeline.data.datasets.array_source import select_all
from pipeline.data.datasets.fashion_mnist import FashionMNIST
from pipeline.data.datasets.idx import read_idx
from pipeline.data.datasets.transformed import Transformed
from pipeline.data.parts import Part
from pipeline.data.stream.tasks import class_incremental
from pipeline.errors import DataError
from tests.support.selections import select_part

EMBEDDED = Path(__file__).parent.parent.parent / "data" / "fashion_mnist"
PARTS: list[tuple[Part, int]] = [("train", 1000), ("test", 500)]


@pytest.fixture(scope="module")
def cut() -> ModuleType:
    spec = importlib.util.spec_from_file_location("cut", EMBEDDED / "cut.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def source() -> FashionMNIST:
    return FashionMNIST(EMBEDDED, False)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EMBEDDED, tmp_path / "fashion_mnist"))


def two_images() -> bytes:
    """Two images of 2×3 pixels in the idx format, written out by hand."""
    header = bytes([0, 0, 8, 3]) + bytes([0, 0, 0, 2]) + bytes([0, 0, 0, 2]) + bytes([0, 0, 0, 3])
    return header + bytes(range(100, 112))


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_idx_files_are_read_as_they_were_written(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"images{ending}"
    path.write_bytes(gzip.compress(two_images()) if ending else two_images())
    expected = [[[100, 101, 102], [103, 104, 105]], [[106, 107, 108], [109, 110, 111]]]
    assert read_idx(path).dtype == np.uint8
    assert read_idx(path).tolist() == expected


@pytest.mark.parametrize("shape", [(7,), (3, 28, 28), (0, 2), (2, 1, 3, 4)])
def test_what_the_cutting_script_writes_can_be_read(
    shape: tuple[int, ...], cut: ModuleType, tmp_path: Path
) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    path = tmp_path / "array.gz"
    path.write_bytes(gzip.compress(cut.idx_bytes(array)))
    np.testing.assert_array_equal(read_idx(path), array)
    assert read_idx(path).shape == shape


def test_a_missing_idx_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing\.gz is missing"):
        read_idx(tmp_path / "nothing.gz")


def test_a_truncated_gzip_file_is_refused_wherever_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "images.gz"
    content = gzip.compress(two_images())
    for end in range(len(content)):
        path.write_bytes(content[:end])
        with pytest.raises(DataError, match=r"images\.gz"):
            read_idx(path)


def test_a_damaged_gzip_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "images.gz"
    content = bytearray(gzip.compress(two_images()))
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DataError, match="truncated or damaged"):
        read_idx(path)


def test_a_truncated_idx_file_is_refused_wherever_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "images"
    for end in range(len(two_images())):
        path.write_bytes(two_images()[:end])
        with pytest.raises(DataError, match="images"):
            read_idx(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\x89PNG" + bytes(100), "no idx file of bytes"),
        (bytes([0, 0, 0x0D, 1, 0, 0, 0, 1]) + bytes(4), "no idx file of bytes"),
        (two_images() + b"x", "12 bytes expected for shape"),
    ],
)
def test_a_file_of_another_kind_or_length_is_refused(
    content: bytes, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "images"
    path.write_bytes(content)
    with pytest.raises(DataError, match=reason):
        read_idx(path)


@pytest.mark.parametrize(("part", "per_class"), PARTS)
def test_the_embedded_subset_has_as_many_images_of_each_class(
    part: Part, per_class: int, source: FashionMNIST
) -> None:
    images, labels = source.images(part), source.labels(part)
    assert images.shape == (10 * per_class, 1, 28, 28)
    assert images.dtype == labels.dtype == np.uint8
    assert np.bincount(labels).tolist() == [per_class] * 10
    assert len({image.tobytes() for image in images}) > 0.999 * len(images)


@pytest.mark.parametrize("domains", [False, True])
def test_a_source_reads_once_and_is_freed_with_its_images(domains: bool, copied: Path) -> None:
    held = FashionMNIST(copied, False)
    source = Transformed(held, ["plain", "inverted"]) if domains else held
    images = source.images("train")
    assert source.images("train") is images
    assert source.images("test") is not images
    first, again = (select_part(source, "train", [5, 2]) for _ in range(2))
    assert first.fingerprint() == again.fingerprint()
    assert np.array_equal(first.reader()[np.array([1, 0])], images[[2, 5]])
    gone = [weakref.ref(held), weakref.ref(source), weakref.ref(images)]
    del held, source, images, first, again
    gc.collect()
    assert [found() for found in gone] == [None] * 3


def test_the_embedded_files_match_their_checksums() -> None:
    lines = (EMBEDDED / "SHA256SUMS").read_text().splitlines()
    sums = {name: expected for expected, name in (line.split() for line in lines)}
    assert sums.keys() == {path.name for path in EMBEDDED.glob("*.gz")}
    for name, expected in sums.items():
        assert hashlib.sha256((EMBEDDED / name).read_bytes()).hexdigest() == expected


def test_the_fingerprint_is_that_of_images_and_labels(
    source: FashionMNIST, copied: Path, cut: ModuleType
) -> None:
    def fingerprint(of: FashionMNIST, part: Part) -> str:
        return select_part(of, part).fingerprint()

    assert fingerprint(FashionMNIST(copied, False), "train") == fingerprint(source, "train")
    labels = source.labels("train").copy()
    labels[[0, 1]] = (labels[[0, 1]] + 1) % 10
    (copied / "SHA256SUMS").unlink()
    path = copied / "train-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(cut.idx_bytes(labels)))
    changed = FashionMNIST(copied, False)
    assert fingerprint(changed, "train") != fingerprint(source, "train")
    assert fingerprint(changed, "test") == fingerprint(source, "test")


def test_the_cutting_script_takes_the_first_of_each_class_in_order(cut: ModuleType) -> None:
    labels = np.array([1, 0, 1, 1, 2, 0, 0, 2], np.uint8)
    assert cut.first_of_each_class(labels, 2).tolist() == [0, 1, 2, 4, 5, 7]
    assert cut.first_of_each_class(labels, 1).tolist() == [0, 1, 4]
    assert cut.first_of_each_class(labels, 99).tolist() == list(range(8))


def test_a_missing_folder_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.root: the folder '.*nowhere' is missing; `git ch"):
        FashionMNIST(tmp_path / "nowhere", False).labels("train")


@pytest.mark.parametrize("name", ["train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz"])
def test_damaged_and_missing_files_are_named_with_what_to_do(name: str, copied: Path) -> None:
    path = copied / name
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=f"{name} is damaged.*`git checkout .*{name}` brings"):
        FashionMNIST(copied, False).images("train")
    path.unlink()
    with pytest.raises(DataError, match=f"{name} is missing; `git checkout .*{name}` brings"):
        FashionMNIST(copied, False).images("train")


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ((3, 28, 28), [0, 1]),
        ((2, 32, 32), [0, 1]),
        ((2, 28, 28), [0, 10]),
        ((0, 28, 28), []),
    ],
    ids=["counts", "size", "label", "empty"],
)
def test_files_that_do_not_fit_together_are_refused(
    images: tuple[int, ...], labels: list[int], cut: ModuleType, tmp_path: Path
) -> None:
    for name, array in (
        ("train-images-idx3-ubyte.gz", np.zeros(images, np.uint8)),
        ("train-labels-idx1-ubyte.gz", np.array(labels, np.uint8)),
    ):
        (tmp_path / name).write_bytes(gzip.compress(cut.idx_bytes(array)))
    with pytest.raises(DataError, match="are not Fashion-MNIST"):
        FashionMNIST(tmp_path, False).images("train")


def test_without_a_network_the_full_set_says_where_to_put_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(root: str, download: bool) -> None:
        raise RuntimeError("no network")

    monkeypatch.setattr("torchvision.datasets.FashionMNIST", offline)
    with pytest.raises(DataError, match=r"data\.full: .*no network.*train-images-idx3-ubyte\.gz"):
        FashionMNIST(tmp_path, True).images("train")


def test_an_experiment_in_a_copy_finds_what_was_fetched_in_the_main_checkout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DVC_ROOT", "/main")
    assert layout.find_data("data/raw") == Path("/main/data/raw")
    assert layout.find_data("data/raw/tiny") == Path("/main/data/raw/tiny")
    assert layout.find_data("data/fashion_mnist") == Path("data/fashion_mnist")
    assert layout.find_data("/data/raw") == Path("/data/raw")
    monkeypatch.delenv("DVC_ROOT")
    assert layout.find_data("data/raw") == Path("data/raw")


@pytest.mark.parametrize("num_tasks", range(1, 11))
def test_every_class_is_in_one_task_and_tasks_are_as_equal_as_they_can_be(num_tasks: int) -> None:
    tasks = class_incremental(10, num_tasks, split_seed=3)
    assert len(tasks) == num_tasks
    assert sorted(label for task in tasks for label in task) == list(range(10))
    sizes = [len(task) for task in tasks]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] - sizes[-1] <= 1
    assert all(task == sorted(task) for task in tasks)


def test_the_split_of_a_seed_never_changes() -> None:
    assert class_incremental(10, 5, 0) == [[6, 9], [4, 7], [0, 1], [2, 8], [3, 5]]
    assert class_incremental(10, 4, 0) == [[6, 7, 9], [0, 1, 4], [2, 8], [3, 5]]


def test_the_split_depends_on_its_seed_alone() -> None:
    np.random.default_rng(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        assert class_incremental(100, 10, 1) == class_incremental(100, 10, 1)
    splits = {str(class_incremental(100, 10, seed)) for seed in range(20)}
    assert len(splits) == 20


@pytest.mark.parametrize("num_tasks", [-1, 0, 11])
def test_an_impossible_number_of_tasks_is_refused(num_tasks: int) -> None:
    with pytest.raises(ValueError, match=f"num_tasks must be from 1 to 10, got {num_tasks}"):
        class_incremental(10, num_tasks, 0)


def loader(
    count: int = 23, size: int = 5, seed: int = 0, task: int = 1, start: int = 0
) -> DataLoader[torch.Tensor]:
    images = torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 4, 4)
    order = TaskOrder(count, size, 4, seed, task)
    order.start = start
    return training_batches(Images(select_all(images.numpy())), order)


def orders(batches: DataLoader[torch.Tensor]) -> list[list[int]]:
    """The images of each of the four epochs."""
    found = [int(image[0, 0, 0]) for batch in batches for image in batch]
    each = len(found) // 4
    return [found[first : first + each] for first in range(0, len(found), each)]


def test_batches_are_full_and_made_of_bytes() -> None:
    batches = list(loader())
    assert len(batches) == len(loader()) == 4 * (23 // 5)
    assert all(batch.shape == (5, 1, 4, 4) for batch in batches)
    assert all(batch.dtype == torch.uint8 for batch in batches)


def test_each_image_comes_at_most_once_an_epoch() -> None:
    for order in orders(loader()):
        assert len(order) == len(set(order)) == 20
        assert set(order) <= set(range(23))


def test_each_epoch_has_another_order_and_leaves_out_other_images() -> None:
    found = orders(loader())
    assert len({tuple(order) for order in found}) == len(found)
    assert len({frozenset(order) for order in found}) > 1


def test_the_order_depends_on_seed_task_and_epoch_alone() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        first = orders(loader())
        torch.manual_seed(2)
        assert orders(loader()) == first
    assert orders(loader(seed=1))[0] != first[0]
    assert orders(loader(task=2))[0] != first[0]


@pytest.mark.parametrize("start", [0, 1, 3, 4, 5, 15, 16])
def test_the_batches_from_any_step_on_are_those_of_the_whole_task(start: int) -> None:
    whole, rest = list(loader()), list(loader(start=start))
    assert len(loader(start=start)) == len(rest) == len(whole) - start
    assert all(torch.equal(a, b) for a, b in zip(rest, whole[start:], strict=True))
