"""Splits of tasks: what is the same however images are divided, and what cannot be right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import layout
from pipeline.artifacts.split import (
    Split,
    class_names,
    fingerprint_stream,
    read_known_splits,
    read_split,
    read_splits,
    write_splits,
)
from pipeline.data.datasets.array_source import ArraySource
from pipeline.data.parts import Part
from pipeline.data.source import Bytes
from pipeline.errors import DataError
from pipeline.files.sealed_json import read_sealed, write_sealed
from pipeline.files.typed_json import as_json
from tests.support.streams import cut

NAMES = ["ant", "bee", "cat", "dog"]


class Made(ArraySource):
    """Random images, as many of each class; an image of the training part can be another."""

    def __init__(self, changed: int | None = None) -> None:
        super().__init__(Path("made"), True, NAMES)
        self.changed = changed

    def _read(self, part: Part) -> tuple[Bytes, Bytes]:
        labels = np.arange({"train": 24, "test": 8}[part], dtype=np.uint8) % 4
        images = np.random.default_rng(0).integers(0, 256, (len(labels), 1, 4, 4), dtype=np.uint8)
        if self.changed is not None and part == "train":
            images[self.changed] ^= 1
        return images, labels


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_images_of_a_stream_are_the_same_however_they_are_divided() -> None:
    streams = [
        cut(Made(), scenario, tasks, seed)
        for scenario, tasks, seed in (("class", 2, 0), ("class", 4, 0), ("class", 2, 3), ("data", 2, 0), ("data", 2, 1))
    ]  # fmt: skip
    assert len({str(sorted(fingerprint_stream(splits).items())) for splits in streams}) == 1
    assert len({splits[0].fingerprint["train"] for splits in streams}) > 2


def test_the_images_of_a_stream_are_others_where_one_is_another_or_is_missing() -> None:
    whole = fingerprint_stream(cut(Made(), "class", 2))
    other = fingerprint_stream(cut(Made(changed=5), "class", 2))
    assert other["train"] != whole["train"]
    assert other["test"] == whole["test"]
    fewer = fingerprint_stream(cut(Made(), "class", 2)[:1])
    assert fewer["train"] != whole["train"]
    assert fewer["test"] != whole["test"]


def test_another_image_changes_the_split_of_its_task_alone() -> None:
    before, after = (cut(source, "class", 4) for source in (Made(), Made(changed=5)))
    changed = [a != b for a, b in zip(before, after, strict=True)]
    assert [5 in split.train for split in before] == changed
    assert sum(changed) == 1


def test_a_split_has_one_label_for_each_image() -> None:
    labels = {part: Made().labels(part) for part in ("train", "test")}  # type: ignore[arg-type]
    for split in cut(Made(), "class", 2):
        for part, keys in (("train", split.train), ("test", split.test)):
            own = [NAMES[labels[part][int(key)]] for key in keys]
            named = dict(zip(split.classes, split.class_names, strict=True))
            assert [named[label] for label in split.labels[part]] == own
            assert split.counts[part].classes == {name: own.count(name) for name in set(own)}


def test_splits_are_read_as_they_were_written_and_slots_after_them_are_empty(here: Path) -> None:
    splits = cut(Made(), "class", 2)
    write_splits(splits, slots=4)
    found = read_splits(2)
    assert [as_json(split) for split in found] == [as_json(split) for split in splits]
    assert class_names(splits) == NAMES
    assert [layout.split(task).read_text() == "null\n" for task in (3, 4)] == [True, True]
    assert not layout.split(5).exists()
    with pytest.raises(DataError, match=r"task_3\.json is empty; run `cassle prepare` again"):
        read_split(3)


def test_known_splits_end_before_the_first_that_cannot_be_read(here: Path) -> None:
    splits = cut(Made(), "class", 4)
    stream = ("class", splits[0].dataset, splits[0].root)

    def known(*stream: str) -> list[object]:
        return [as_json(split) for split in read_known_splits(*stream)]

    assert known(*stream) == []
    write_splits(splits, slots=5)
    assert known(*stream) == [as_json(split) for split in splits]
    assert known("class", splits[0].dataset, "another root") == []
    layout.split(2).write_text("rubbish")
    assert known(*stream) == [as_json(splits[0])]
    layout.split(1).unlink()
    assert known(*stream) == []


def test_a_random_part_need_not_hold_an_image_of_each_class() -> None:
    splits = cut(Made(), "data", 12)
    assert [len(split.train) for split in splits] == [2] * 12
    assert sorted(int(key) for split in splits for key in split.train) == list(range(24))
    assert all(split.test == list(range(8)) for split in splits)


def drop(split: Split, part: str) -> dict[str, Sequence[int]]:
    return {**split.labels, part: split.labels[part][1:]}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda split: {"labels": drop(split, "test")}, "labels.test are not one for each image"),
        (lambda split: {"labels": {"train": split.labels["train"]}}, "labels.test are not one"),
        (
            lambda split: {"labels": {**split.labels, "test": [99] * len(split.test)}},
            "labels.test holds 99, which is not among its classes",
        ),
        (lambda split: {"set_fingerprint": {"train": "0"}}, "set_fingerprint.test is missing"),
    ],
)
def test_a_split_whose_labels_do_not_fit_its_images_is_refused(
    change: Any, said: str, here: Path
) -> None:
    splits = cut(Made(), "class", 2)
    write_splits(splits, slots=2)
    held = read_sealed(layout.split(1), DataError, "")
    assert held is not None
    write_sealed(layout.split(1), held | change(splits[0]))
    with pytest.raises(DataError, match=said):
        read_split(1)
