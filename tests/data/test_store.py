"""The store of decoded images: as decoding gives them, written once."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tracemalloc
from collections import namedtuple
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.data.batches import Images, TaskOrder, ordered_batches, training_batches
from pipeline.data.datasets import file_source
from pipeline.data.datasets.array_source import ArraySelection
from pipeline.data.datasets.image_folder import ImageFolder
from pipeline.data.image_files import store, store_writer
from pipeline.data.image_files.store import ImageFiles, Store
from pipeline.data.image_files.store_writer import inspect_images, store_path
from pipeline.errors import DataError
from tests.support.image_files import embedded, file_options, reading, save, tree
from tests.support.params import ROOT
from tests.support.selections import ReaderSelection, select_part

SIZE = 16
WRITE = """
import sys
from pathlib import Path
from pipeline.data.image_files.store import ImageFiles
from pipeline.data.image_files.store_writer import inspect_images
root, place = map(Path, sys.argv[1:])
paths = sorted(path.name for path in root.iterdir())
print(inspect_images(ImageFiles(root, paths, 16, (255, 255, 255), "bilinear"), place, 2, keep=True).bad)
"""


@pytest.fixture
def files(tmp_path: Path) -> ImageFiles:
    root = tree(tmp_path / "images", {".": 9}, ".png")
    return ImageFiles(
        root, sorted(path.name for path in root.iterdir()), SIZE, (255, 255, 255), "bilinear"
    )


@pytest.fixture
def place(tmp_path: Path, files: ImageFiles) -> Path:
    return store_path(tmp_path / "scratch", "f" * 64, files)


def test_a_store_is_named_by_how_its_images_are_read(files: ImageFiles, place: Path) -> None:
    others = [
        replace(files, size=SIZE + 1),
        replace(files, background=(0, 0, 0)),
        replace(files, interpolation="bicubic"),
    ]
    assert len({place, *(store_path(place.parent, "f" * 64, other) for other in others)}) == 4


def test_a_store_holds_what_decoding_gives(files: ImageFiles, place: Path) -> None:
    assert inspect_images(files, place, 2, keep=True).bad == {}
    chosen = np.array([8, 0, 0, 3])
    held = Store(place, len(files), SIZE)
    assert np.array_equal(held[chosen], files[chosen])
    assert len(np.unique(held[np.arange(9)].reshape(9, -1), axis=0)) == 9
    assert place.stat().st_size == 9 * (held.row + 8) == held.total


def test_a_store_is_named_by_the_images_and_their_size(tmp_path: Path) -> None:
    root = tree(tmp_path / "images", {"train/a": 2, "train/b": 2, "test/a": 1, "test/b": 1})
    places = []
    for size in (16, 20, 16):
        source = ImageFolder(root, file_options(resize=size), reading(tmp_path / "scratch"))
        places.append(select_part(source, "train").reader().path)  # type: ignore[attr-defined]
    save(root / "train/a/train_a_0.jpg", embedded(9)[8])
    source = ImageFolder(root, file_options(), reading(tmp_path / "scratch"))
    places.append(select_part(source, "train").reader().path)  # type: ignore[attr-defined]
    assert places[0] == places[2]
    assert len(set(places)) == 3


def test_a_store_is_made_once(
    files: ImageFiles, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inspect_images(files, place, 2, keep=True)
    monkeypatch.setattr(store, "read_square", lambda *arguments: pytest.fail("decoded again"))
    assert inspect_images(files, place, 2, keep=True).bad == {}


@pytest.mark.parametrize("length", [None, 0, 100])
def test_a_store_that_is_gone_or_too_short_is_made_again(
    files: ImageFiles, place: Path, length: int | None
) -> None:
    inspect_images(files, place, 2, keep=True)
    whole = place.read_bytes()
    if length is None:
        place.unlink()
    else:
        place.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"cannot be read \(it is too short\); delete it"):
            Store(place, len(files), SIZE)[np.array([8])]
    inspect_images(files, place, 2, keep=True)
    assert place.read_bytes() == whole


def test_what_interrupts_the_writer_leaves_no_store(
    files: ImageFiles, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode, seen = store.read_square, []

    def stopped(*arguments: Any) -> np.ndarray:
        seen.append(arguments)
        if len(seen) == 5:
            raise KeyboardInterrupt
        return decode(*arguments)

    monkeypatch.setattr(store, "read_square", stopped)
    with pytest.raises(KeyboardInterrupt):
        inspect_images(files, place, 1, keep=True)
    assert list(place.parent.iterdir()) == []


@pytest.mark.pipeline
def test_two_processes_that_write_one_store_at_once_do_each_other_no_harm(
    files: ImageFiles, place: Path
) -> None:
    command = [sys.executable, "-c", WRITE, str(files.root), str(place)]
    both = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    for process in both:
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out.strip()) == (0, b"{}"), err
    everything = np.arange(9)
    assert np.array_equal(Store(place, 9, SIZE)[everything], files[everything])
    assert sorted(path.suffix for path in place.parent.iterdir()) == [".json", ".uint8"]


def test_without_room_for_the_store_the_error_says_how_much_it_needs(
    files: ImageFiles, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(store_writer.shutil, "disk_usage", lambda path: usage(10, 9, 1))
    with pytest.raises(DataError, match=r"9 images needs .* GB in .*set data\.store: stream"):
        inspect_images(files, place, 2, keep=True)
    assert not place.exists()


@pytest.mark.parametrize("call", ["truncate", "pwrite", "fsync"])
def test_a_disk_that_fills_while_a_store_is_written_leaves_none(
    call: str, files: ImageFiles, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(DataError, match=f"cannot write {place}: No space left on device"):
            inspect_images(files, place, 2, keep=True)
    assert list(place.parent.iterdir()) == []
    assert inspect_images(files, place, 2, keep=True).bad == {}
    assert np.array_equal(Store(place, 9, SIZE)[np.arange(9)], files[np.arange(9)])


def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path) -> None:
    """A store of 4 GB, all holes: a batch takes what a batch takes."""
    count, size, batch = 20_000, 256, 8
    path = tmp_path / "large.uint8"
    held = Store(path, count, size)
    with path.open("wb") as file:
        file.truncate(held.total)
    batches = training_batches(
        Images(ReaderSelection(held)), TaskOrder(count, batch, 1, seed=0, task=1)
    )
    tracemalloc.start()
    for number, images in enumerate(batches):
        assert images.shape == (batch, 3, size, size)
        if number == 20:
            break
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * batch * held.row


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_the_same_from_memory_from_a_store_and_from_files(
    files: ImageFiles, place: Path, workers: int
) -> None:
    inspect_images(files, place, 2, keep=True)
    places = np.array([7, 1, 5, 4, 0])
    held = files[np.arange(9)]
    expected = torch.from_numpy(held[places])
    for whole in (held, files, Store(place, 9, SIZE)):
        images = Images(ReaderSelection(whole, places, workers))
        assert torch.equal(torch.cat(list(ordered_batches(images, 2))), expected)
        assert torch.equal(images[torch.tensor([2, 0])], expected[[2, 0]])


def test_images_of_several_selections_are_read_as_if_they_were_one(
    files: ImageFiles, place: Path
) -> None:
    inspect_images(files, place, 2, keep=True)
    held = files[np.arange(9)]
    chosen = [np.array([7, 1]), np.array([5]), np.array([4, 0, 8])]
    array = ArraySelection(lambda: held, np.zeros(9, np.uint8), chosen[1].tolist())
    images = Images(
        ReaderSelection(files, chosen[0], processes=2),
        array,
        ReaderSelection(Store(place, 9, SIZE), chosen[2]),
    )
    expected = torch.from_numpy(held[np.concatenate(chosen)])
    assert (len(images), images.workers) == (6, 2)
    for order in ([0, 1, 2, 3, 4, 5], [5, 0, 2, 0, 3], [2, 2], [1, 4]):
        assert torch.equal(images[torch.tensor(order)], expected[order])
        assert torch.equal(images.__getitems__(order), expected[order])
    assert torch.equal(torch.cat(list(ordered_batches(images, 4))), expected)


def test_a_small_store_needs_no_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tree(tmp_path / "images", {"train/a": 2, "train/b": 2, "test/a": 1, "test/b": 1})
    kept, streamed = (
        ImageFolder(root, file_options(), reading(tmp_path / "scratch", store, workers=3))
        for store in ("cache", "stream")
    )
    kept_images, streamed_images = (select_part(source, "train") for source in (kept, streamed))
    assert (kept_images.workers(), streamed_images.workers()) == (0, 3)
    monkeypatch.setattr(file_source, "PAGE_CACHE_BYTES", 100)
    assert kept_images.workers() == 3


@pytest.mark.parametrize("workers", [0, 2])
def test_an_image_that_went_bad_is_one_line_whoever_reads_it(
    workers: int, files: ImageFiles
) -> None:
    path = files.root / files.paths[3]
    path.write_bytes(path.read_bytes()[:60])
    images = Images(ReaderSelection(files, processes=workers))
    for batches in (ordered_batches(images, 2), training_batches(images, TaskOrder(9, 3, 1, 0, 1))):
        with pytest.raises(DataError) as error:
            list(batches)
        assert str(error.value).startswith(f"{path} is ")
        assert "\n" not in str(error.value)
