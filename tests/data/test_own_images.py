"""Folders of images as people have them."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.artifacts.split import Split
from pipeline.data.datasets.file_source import FileSource
from pipeline.data.datasets.image_folder import ImageFolder
from pipeline.data.image_files.survey import survey_folder
from pipeline.data.image_files.tree import describe_others, list_images
from pipeline.data.parts import PARTS
from pipeline.errors import DataError
from tests.support.image_files import file_options, reading
from tests.support.selections import select_part
from tests.support.streams import cut


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "images"


def source(root: Path, **options: object) -> FileSource:
    return ImageFolder(root, file_options(**options), reading(root.parent / "scratch"))


def make(root: Path, names: Mapping[str, int]) -> Path:
    """Write an image of its own for each number, under each name."""
    for name, number in names.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (16, 16, 3), np.uint8)
        Image.fromarray(pixels).save(path)
    return root


def fill(root: Path, folders: str, count: int = 6) -> Path:
    """Write so many different images into each of some folders."""
    for place, folder in enumerate(folders.split()):
        make(root, {f"{folder}/{n}.png": 1000 * place + n for n in range(count)})
    return root


def held(splits: list[Split], part: str) -> list[str]:
    return [str(key) for split in splits for key in split.keys(part)]  # type: ignore[arg-type]


# Which part an image is of.


def test_images_of_one_name_are_held_out_together_whoever_drew_them(root: Path) -> None:
    fill(root, "google/faces google/food twitter/faces twitter/food openmoji/faces", 40)
    found = source(root, holdout_by="name", holdout=0.25)
    sides = {part: {Path(str(key)).stem for key in found.keys(part)} for part in PARTS}
    assert not sides["train"] & sides["test"]
    assert 0.1 < len(sides["test"]) / 40 < 0.4
    assert len(found.keys("train")) + len(found.keys("test")) == 200
    again = source(fill(root, "fluent/faces fluent/food", 40), holdout_by="name", holdout=0.25)
    assert set(found.keys("test")) <= set(again.keys("test")), "a new vendor moves no image"


def test_images_of_one_content_are_held_out_together(root: Path) -> None:
    names = {f"{kind}/{vendor}_{n}.png": n for kind in "ab" for vendor in "xy" for n in range(30)}
    found = source(make(root, names), holdout_by="content")
    sides = {part: {Path(str(key)).stem[2:] for key in found.keys(part)} for part in PARTS}
    assert sides["test"]
    assert not sides["train"] & sides["test"]
    assert (
        sum((split.repeats.leaked if split.repeats else 0) for split in cut(found, "class", 2)) == 0
    )


def test_images_of_one_group_are_held_out_together(root: Path) -> None:
    names = {
        f"{k}/patient{p}_{n}.png": 9 * p + n for k in "ab" for p in range(20) for n in range(3)
    }
    found = source(make(root, names), holdout_by="group", holdout_group=r"/(patient\d+)_")
    sides = {part: {str(key).split("_")[0][2:] for key in found.keys(part)} for part in PARTS}
    assert sides["test"]
    assert not sides["train"] & sides["test"]
    with pytest.raises(DataError, match=r"data\.holdout_group: 'subject' does not match a/patient"):
        source(root, holdout_by="group", holdout_group="subject").keys("test")


def test_a_class_that_belongs_together_cannot_be_held_out(root: Path) -> None:
    fill(root, "a b", 4)
    with pytest.raises(DataError, match=r"all images of a belong together.*holdout_by: file"):
        source(root, holdout_by="group", holdout_group=r"^(\w)/").keys("test")


def test_each_class_has_images_of_both_parts_however_few_there_are(root: Path) -> None:
    folders = [f"{domain}/{kind}" for domain in "pqr" for kind in "abcdefgh"]
    found = source(fill(root, " ".join(folders), 3), holdout_by="name", holdout=0.1)
    for part in PARTS:
        there = Counter(str(Path(str(key)).parent) for key in found.keys(part))
        assert set(there) == set(folders)


def test_with_a_holdout_of_0_all_images_are_trained_on(root: Path) -> None:
    found = source(fill(root, "a b", 4), holdout=0.0)
    splits = cut(found, "class", 2)
    assert len(held(splits, "train")) == 8
    assert held(splits, "test") == []


@pytest.mark.parametrize(
    ("scenario", "folders", "untested"),
    [
        ("class", "train/a train/b train/c train/d test/a test/b test/c", "(d)"),
        ("domain", "train/p/a train/p/b train/q/c train/q/d test/p/a test/p/b", "(c, d)"),
    ],
)
def test_where_only_some_tasks_have_test_images_it_is_said_at_once(
    scenario: str, folders: str, untested: str, root: Path
) -> None:
    found = source(fill(root, folders, 4), holdout=0.0)
    with pytest.raises(DataError) as raised:
        cut(found, scenario, 4 if scenario == "class" else 2)
    assert re.search(
        rf"there are none of task \d {re.escape(untested)}; add some to the test part, or set "
        "data.holdout above 0",
        str(raised.value),
    )


@pytest.mark.parametrize(
    ("folders", "problem"),
    [
        ("Train/a Train/b Test/a Test/b", r"holds 'Train', 'Test': the parts .* are called train/"),
        ("training/a training/b testing/a", r"'training', 'testing'"),
        ("train/a train/b valid/a valid/b", r"'valid' stands beside train/"),
        ("bus car train", r"'bus' stands beside train/"),
        ("cat dog test", r"holds 'test'"),
        ("photo/Train photo/Test sketch/Train", r"photo holds 'Train', 'Test'"),
        ("Train", "holds 'Train'"),
    ],
)
def test_names_near_to_train_and_test_are_refused(root: Path, folders: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        source(fill(root, folders)).keys("train")


def test_val_beside_test_is_left_out_with_a_remark(root: Path) -> None:
    found = source(fill(root, "train/a train/b test/a test/b val/a"))
    assert {str(key).split("/")[0] for key in found.keys("test")} == {"test"}
    assert found.remarks == [f"{root / 'val'} is left out: {root / 'test'} is tested on"]


def test_a_class_may_be_called_train_where_no_test_part_can_be_meant(root: Path) -> None:
    found = source(fill(root, "Bus Car Train"))
    assert found.class_names() == ["Bus", "Car", "Train"]


# The same image twice.

TWICE = {
    "train/a/0.png": 0,
    "train/a/1.png": 1,
    "train/a/again.png": 1,
    "train/b/2.png": 2,
    "train/b/3.png": 3,
    "train/b/other_class.png": 0,
    "train/b/tested.png": 8,
    "test/a/7.png": 7,
    "test/b/8.png": 8,
    "test/b/seen.png": 1,
}


def test_images_that_are_there_twice_are_counted(root: Path) -> None:
    splits = cut(source(make(root, TWICE)), "class", 2, 1)
    assert len(held(splits, "train")) == 7
    repeats = [split.repeats for split in splits if split.repeats is not None]
    assert sum(each.train for each in repeats) + sum(each.test for each in repeats) == 4
    assert sum(each.leaked for each in repeats) == 2, "8 and 1 are tested and trained on"


def test_images_that_are_there_twice_are_kept_once(root: Path) -> None:
    splits = cut(source(make(root, TWICE), duplicates="drop"), "class", 1)
    everything = held(splits, "train") + held(splits, "test")
    numbers = [TWICE[key] for key in everything]
    assert sorted(numbers) == sorted(set(TWICE.values()))
    assert "test/b/8.png" in everything, "of a task's own images the test image stays"
    assert all(split.repeats is None or split.repeats.dropped for split in splits)


def test_images_that_are_there_twice_can_be_an_error(root: Path) -> None:
    with pytest.raises(DataError, match=r"has 4 images twice: .* is .*; remove them, or set"):
        cut(source(make(root, TWICE), duplicates="error"), "class", 2)
    splits = cut(source(fill(root.parent / "other", "a b"), duplicates="error"), "class", 2)
    assert all(split.repeats is None for split in splits)


def test_random_parts_that_share_their_test_images_repeat_none(root: Path) -> None:
    splits = cut(source(fill(root, "a b", 12), duplicates="drop"), "data", 3)
    assert all(split.repeats is None for split in splits)
    assert len({tuple(split.test) for split in splits}) == 1


@pytest.mark.parametrize("duplicates", ["keep", "drop"])
def test_what_a_task_repeats_is_known_when_the_images_it_repeats_are_gone(
    root: Path, duplicates: str
) -> None:
    fill(root, "2021/a 2021/b 2022/a 2022/b 2023/a 2023/b", 8)
    shutil.copy(root / "2021/a/0.png", root / "2022/b/copy.png")

    def grow(*folders: str, known: list[Split]) -> list[Split]:
        options = {"folders": folders, "duplicates": duplicates}
        return cut(source(root, **options), "folders", len(folders), known=known)

    both = grow("2021", "2022", known=[])
    assert both[1].repeats is not None
    shutil.rmtree(root / "2021")
    assert grow("2021", "2022", "2023", known=both)[:2] == both


# Images, classes and domains.


def test_images_of_a_single_color_are_counted(root: Path) -> None:
    fill(root, "train/a train/b test/a test/b", 4)
    clear = np.zeros((16, 16, 4), np.uint8)
    clear[..., :3] = np.random.default_rng(0).integers(0, 256, (16, 16, 3))
    for n in range(3):
        Image.fromarray(clear + np.uint8([n, 0, 0, 0])).save(root / f"train/a/clear{n}.png")
    splits = cut(source(root), "class", 1)
    assert splits[0].plain == {"train": 3, "test": 0}


def test_domains_need_not_share_their_classes(root: Path) -> None:
    fill(root, "photo/cat photo/dog sketch/cat sketch/dog sketch/owl")
    splits = cut(source(root), "domain", 2)
    assert [split.class_names for split in splits] == [["cat", "dog"], ["cat", "dog", "owl"]]
    common = cut(source(root, common_classes=True), "domain", 2)
    assert [split.class_names for split in common] == [["cat", "dog"]] * 2
    named = cut(source(root, classes=("owl", "cat")), "domain", 2)
    assert [split.class_names for split in named] == [["cat"], ["cat", "owl"]]
    with pytest.raises(
        DataError, match=r"data\.classes: .* has no class cow; it has cat, dog, owl"
    ):
        source(root, classes=("cow",)).class_names()


def test_domains_without_a_common_class_are_named(root: Path) -> None:
    fill(root, "photo/cat sketch/dog")
    with pytest.raises(DataError, match=r"data\.classes: common: the domains .*photo, sketch.* 0"):
        source(root, common_classes=True).class_names()


def test_what_systems_leave_in_folders_counts_as_nothing(root: Path) -> None:
    fill(root, "cat dog")
    for name in (".DS_Store", "._0.png", "Thumbs.db", "desktop.ini", "Icon\r", ".directory"):
        (root / "cat" / name).write_bytes(b"?")
    for name in ("__MACOSX", "@eaDir", ".thumbnails", "lost+found"):
        make(root, {f"{name}/0.png": 0})
    (root / "cat" / "notes.txt").write_text("of cats")
    (root / "dog" / "moving.gif").write_bytes(b"GIF89a")
    found = source(root)
    assert found.class_names() == ["cat", "dog"]
    assert len(found.keys("train")) + len(found.keys("test")) == 12
    assert describe_others(survey_folder(root).others) in ("1 .txt, 1 .gif", "1 .gif, 1 .txt")


@pytest.mark.parametrize("name", ["cat\nfood", "\x1b[31mred", "caf\udce9", "a\u2028b"])
def test_names_that_cannot_be_printed_are_refused(root: Path, name: str) -> None:
    fill(root, "dog")
    (root / name).mkdir()
    with pytest.raises(DataError, match="is not UTF-8 or has control characters; rename it"):
        source(root).class_names()


def test_blanks_of_all_kinds_may_stand_in_names(root: Path) -> None:
    fill(root, "dog")
    make(root, {"chat\u202fnoir/Screenshot\u00a01.png": 1, "chat\u202fnoir/👩‍🚀.png": 2})
    assert source(root).class_names() == ["chat\u202fnoir", "dog"]


# Links, pipes and depth.


def test_pipes_are_images_that_cannot_be_read(root: Path) -> None:
    fill(root, "cat dog")
    os.mkfifo(root / "cat" / "pipe.png")
    with pytest.raises(DataError, match=r"cat/pipe\.png \(no regular file\)"):
        cut(source(root), "class", 2)
    splits = cut(source(root, on_bad_image="skip"), "class", 2)
    assert sum(sum((split.skipped or {}).values()) for split in splits) == 1


def test_a_folder_that_links_reach_many_times_counts_once(root: Path) -> None:
    make(root, {"19/image.png": 0})
    for level in range(19):
        (root / str(level)).mkdir()
        for side in "lr":
            (root / str(level) / side).symlink_to(root / str(level + 1))
    assert len(list_images(root, root / "0")) == 1


def test_folders_nested_without_end_are_one_clear_error(root: Path) -> None:
    deep = root / "cat" / "/".join("d" * 200)
    fill(root, "dog")
    deep.mkdir(parents=True)
    make(root, {"cat/0.png": 0})
    with pytest.raises(DataError, match="more than 64 folders within each other"):
        source(root).class_names()


# Nothing is trusted unread.


def test_every_flipped_bit_of_a_store_shows(root: Path) -> None:
    images = select_part(source(fill(root, "a b")), "train")
    images.reader()
    (store,) = (root.parent / "scratch").glob("*.uint8")
    whole = store.read_bytes()
    everything = np.arange(len(images))
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(whole), 40):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        store.write_bytes(damaged)
        with pytest.raises(DataError, match=r"image \d+ is damaged\); delete it, and it is made"):
            images.reader()[everything]
    block = bytearray(whole)
    block[768:1536] = bytes(768)
    store.write_bytes(block)
    with pytest.raises(DataError, match="image 1 is damaged"):
        images.reader()[everything]
    store.write_bytes(whole)
    assert images.reader()[everything].any()


def test_an_image_replaced_with_the_same_size_and_time_is_noticed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.data.image_files.content.TICK_SECONDS", 0)
    fill(root, "a b")
    path = root / "a" / "0.png"
    Image.new("RGB", (16, 16), (1, 2, 3)).save(path.with_suffix(".bmp"))
    path = path.with_suffix(".bmp")
    before = select_part(source(root), "train").fingerprint()
    times = path.stat()
    Image.new("RGB", (16, 16), (3, 2, 1)).save(path)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert path.stat().st_size == times.st_size
    assert path.stat().st_mtime_ns == times.st_mtime_ns
    assert select_part(source(root), "train").fingerprint() != before


def test_an_image_replaced_while_it_is_decoded_makes_no_store(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(root, "a b")
    images = select_part(source(root), "train")
    images.fingerprint()
    make(root, {str(source(root).keys("train")[0]): 77})
    with pytest.raises(DataError, match=r"were replaced while they were read; run `dvc repro -f"):
        images.unreadable()
    assert not list((root.parent / "scratch").glob("*.uint8"))


@pytest.mark.parametrize("order", ["cat dog", "dog cat"])
@pytest.mark.parametrize("share", [1e-9, 1 - 1e-9])
def test_groups_that_classes_share_leave_each_class_images_of_both_parts(
    order: str, share: float, root: Path
) -> None:
    one, two, three = sorted("abc", key=lambda name: hashlib.sha256(name.encode()).digest())
    classes = dict(zip(order.split(), ((one, two), (two, three)), strict=True))
    names = [f"{name}/{group}_{name}.png" for name, held in classes.items() for group in held]
    found = source(
        make(root, {name: number for number, name in enumerate(names)}),
        holdout_by="group", holdout_group=r"/(\w)_", holdout=share,
    )  # fmt: skip
    for part in PARTS:
        assert {str(key).split("/")[0] for key in found.keys(part)} == {"cat", "dog"}


def test_a_class_that_others_leave_without_images_of_a_part_is_refused(root: Path) -> None:
    # Every two of three groups are a class: whatever is held out, one class has all or none.
    names = [f"{kind}/{group}_{kind}.png" for kind in ("ab", "bc", "ca") for group in kind]
    with pytest.raises(DataError, match="belong together with those of other classes, so that"):
        source(
            make(root, {name: number for number, name in enumerate(names)}),
            holdout_by="group", holdout_group=r"/(\w)_",
        ).keys("test")  # fmt: skip
