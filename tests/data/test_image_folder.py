"""Folders of image files as a data set."""

from __future__ import annotations

import shutil
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.data.augmentation.augment import Augment
from pipeline.data.augmentation.view_augment import ViewAugment
from pipeline.data.datasets.file_source import FileSource
from pipeline.data.datasets.image_folder import ImageFolder
from pipeline.data.stream.scenarios import StreamOptions, divide_into_tasks
from pipeline.errors import DataError
from tests.support.image_files import embedded, file_options, reading, save, tree
from tests.support.selections import read_part, select_part
from tests.support.streams import cut


def source(root: Path, store: str = "cache", **options: object) -> FileSource:
    return ImageFolder(root, file_options(**options), reading(root.parent / "scratch", store))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "images"


def paths(folder: FileSource, part: str) -> list[str]:
    return list(folder.keys(part))  # type: ignore[arg-type]


def test_class_folders_with_a_test_part(root: Path) -> None:
    tree(root, {"train/cat": 3, "train/dog": 2, "test/dog": 1, "test/cat": 1})
    found = source(root)
    assert found.class_names() == ["cat", "dog"]
    assert found.labels("train").tolist() == [0, 0, 0, 1, 1]
    assert found.labels("test").tolist() == [0, 1]
    assert read_part(found, "train", [4, 0]).shape == (2, 3, 16, 16)
    assert found.domain_names() == []


def test_a_folder_named_val_is_a_test_part_unless_there_is_one_named_test(root: Path) -> None:
    tree(root, {"train/a": 2, "train/b": 2, "val/a": 1, "val/b": 1})
    assert all(path.startswith("val/") for path in paths(source(root), "test"))
    tree(root, {"test/a": 1, "test/b": 1})
    assert all(path.startswith("test/") for path in paths(source(root), "test"))


def test_without_a_test_part_a_share_of_each_class_is_held_out_the_same_each_time(
    root: Path,
) -> None:
    tree(root, {"a": 12, "b": 8, "c": 2})
    found = source(root)
    assert np.bincount(found.labels("test")).tolist() == [3, 2, 1]
    assert not set(paths(found, "train")) & set(paths(found, "test"))
    before = set(paths(found, "test"))
    assert set(paths(source(root), "test")) == before
    save(root / "a" / "another.png", embedded(1)[0])
    after = set(paths(source(root), "test"))
    assert len(after ^ before) <= 2


def test_domains_hold_classes(root: Path) -> None:
    tree(root, {"sketch/cat": 4, "sketch/dog": 4, "photo/cat": 4, "photo/dog": 8})
    found = source(root)
    assert found.domain_names() == ["photo", "sketch"]
    assert found.class_names() == ["cat", "dog"]
    tasks = divide_into_tasks("domain", found, StreamOptions(2, 0))
    assert [(task.domain, len(task.images["train"])) for task in tasks] == [
        ("photo", 9),
        ("sketch", 6),
    ]
    turned = source(root, domains=["sketch", "photo"])
    assert [task.domain for task in divide_into_tasks("domain", turned, StreamOptions(2, 0))] == [
        "sketch",
        "photo",
    ]
    assert len(source(root, domains=["sketch"]).labels("train")) == 6
    with pytest.raises(
        DataError, match=r"data\.domains: .* has no domain clipart; it has photo, sketch"
    ):
        source(root, domains=["clipart"]).labels("train")


def test_images_without_folders_have_no_labels_and_can_be_cut_at_random(root: Path) -> None:
    tree(root, {".": 10})
    found = source(root)
    assert found.class_names() == []
    assert found.labels("train").tolist() == [-1] * 10, "nothing could be tested on them"
    tasks = divide_into_tasks("data", found, StreamOptions(2, 0))
    assert [(len(t.images["train"]), t.classes) for t in tasks] == [(5, []), (5, [])]
    with pytest.raises(DataError, match=r"scenario: class needs labels.*set scenario: data"):
        divide_into_tasks("class", found, StreamOptions(2, 0))


def test_grey_opaque_deep_and_turned_images_become_rgb_of_8_bits(root: Path) -> None:
    grey = embedded(1)[0]
    deep = Image.fromarray(grey.astype(np.uint16) * 257)
    for kind in ("x", "y"):
        for name, mode in (
            ("a_grey.png", "L"),
            ("b_rgba.png", "RGBA"),
            ("c_palette.png", "P"),
            ("d_rgb.png", "RGB"),
        ):
            save(root / "train" / kind / name, grey, mode)
        deep.save(root / "train" / kind / "e_deep.png")
        save(root / "test" / kind / "a.png", grey)
    turned = Image.fromarray(np.rot90(grey))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(root / "train" / "x" / "f_turned.png", exif=exif)
    images = read_part(source(root, resize=28), "train", range(6))
    assert images.shape == (6, 3, 28, 28)
    for number in range(6):
        assert np.abs(images[number].astype(int) - grey).max() <= 1, number


def test_the_central_square_is_resized_without_aliasing(root: Path) -> None:
    wide = np.zeros((40, 100), np.uint8)
    wide[:, 30:70] = np.indices((40, 40)).sum(0) % 2 * 200
    for part in ("train", "test"):
        for kind in ("a", "b"):
            save(root / part / kind / "1.png", wide)
    image = read_part(source(root), "train", [0])
    assert image.shape == (1, 3, 16, 16)
    assert image.min() > 60  # the black sides are cut off
    assert image.max() < 140  # and the checkerboard is averaged


@pytest.mark.parametrize("size", [32, 64, 96, 224])
def test_files_become_views_of_the_usual_sizes(root: Path, size: int) -> None:
    tree(root, {"train/a": 2, "train/b": 2, "test/a": 1, "test/b": 1})
    kept = read_part(source(root, resize=size * 8 // 7), "train", range(4))
    images = torch.from_numpy(kept)
    view = ViewAugment((0.2, 1.0), 0.5, 0.8, 0.4, 0.4, 0.2, 0.1, 0.2, 0.5, 0.1)
    augment = Augment([view, view], size, [0.5] * 3, [0.25] * 3)
    views = augment(images, torch.Generator().manual_seed(0))
    assert [made.shape for made in (*views, augment.normalize(images))] == [(4, 3, size, size)] * 3
    assert all(made.isfinite().all() for made in views)


def test_paths_with_blanks_and_letters_of_all_kinds_work(root: Path) -> None:
    tree(root / "meine Bilder – 猫", {"Käfer süß": 4, "два слова": 4})
    found = source(root / "meine Bilder – 猫")
    assert list(found.class_names()) == ["Käfer süß", "два слова"]
    assert len(read_part(found, "train", range(6))) == 6
    assert len(divide_into_tasks("class", found, StreamOptions(2, 0))) == 2


def test_a_name_in_two_unicode_forms_is_one_class_and_one_domain(root: Path) -> None:
    one, two = (unicodedata.normalize(form, "caf\u00e9") for form in ("NFC", "NFD"))
    assert one != two
    tree(root, {f"train/{one}": 2, f"train/{two}": 1, "train/dog": 1, f"test/{two}": 1})
    found = source(root)
    assert found.class_names() == [one, "dog"]
    assert sorted(found.labels("train").tolist()) == [0, 0, 0, 1]
    assert found.labels("test").tolist() == [0]
    shutil.rmtree(root)
    tree(root, {f"train/{two}/{one}": 1, f"train/{two}/dog": 1, f"test/{one}/{two}": 1})
    found = source(root, domains=(one,))
    assert (found.class_names(), found.domain_names()) == ([one, "dog"], [one])
    assert found.domains("test").tolist() == [0]


def test_linked_folders_are_followed(root: Path) -> None:
    tree(root.parent / "elsewhere", {"cat": 4})
    tree(root, {"dog": 4})
    (root / "cat").symlink_to(root.parent / "elsewhere" / "cat")
    assert len(source(root).labels("train")) == 6


@pytest.mark.parametrize("where", ["loop", "cat/loop", "train/loop"])
def test_a_link_that_leads_back_is_one_clear_error(root: Path, where: str) -> None:
    tree(root, {"cat": 4, "dog": 4} if "train" not in where else {"train/cat": 4, "train/dog": 4})
    (root / where).symlink_to(root)
    with pytest.raises(
        DataError, match="loop is a symbolic link that leads back to a folder that holds it"
    ):
        source(root).labels("train")


def test_a_link_to_itself_is_an_image_that_cannot_be_read(root: Path) -> None:
    tree(root, {"cat": 4, "dog": 4})
    (root / "cat" / "loop.png").symlink_to(root / "cat" / "loop.png")
    (root / "loop").symlink_to(root / "loop")
    with pytest.raises(DataError, match=r"cat/loop\.png \(damaged or unreadable"):
        cut(source(root), "class", 2)
    splits = cut(source(root, on_bad_image="skip"), "class", 2)
    assert sum(sum((split.skipped or {}).values()) for split in splits) == 1


@pytest.mark.parametrize(
    ("counts", "problem"),
    [
        ({"train/a": 2, "train/b": 0, "test/a": 1}, "b is a class folder without a JPEG, PNG, WebP, BMP or TIFF image"),
        ({"train/a": 2, "test/a": 1}, "has one class alone, 'a': nothing to tell apart"),
        ({"train/a": 2, "train/b": 2, "test/a": 1}, "the test part has no image of 1 of 2 classes: b"),
        ({"train/a": 2, "train/b": 2, "test/a": 1, "test/b": 1, "test/c": 1}, "the test part has classes that the training part has not: c"),
        ({"p/a": 4, "p/b": 4, "q": 4}, "'p' holds folders, as a domain, and 'q' does not"),
        ({".": 1, "a": 2}, "beside folders"),
        ({"a": 1, "b": 4}, "a has one image alone"),
        ({"train": 0, "test": 0}, "holds no JPEG, PNG, WebP, BMP or TIFF image to train on"),
    ],
    ids=["empty class", "one class", "not in test", "only in test", "mixed levels", "beside", "single image", "nothing"],
)  # fmt: skip
def test_a_folder_that_cannot_be_is_one_clear_error(
    root: Path, counts: dict[str, int], problem: str
) -> None:
    tree(root, counts)
    with pytest.raises(DataError, match=problem):
        divide_into_tasks("class", source(root), StreamOptions(1, 0))


def test_a_missing_folder_is_named(root: Path) -> None:
    with pytest.raises(
        DataError, match=r"the folder '.*images' is missing; it should hold class folders"
    ):
        source(root).labels("train")


@pytest.mark.parametrize("store", ["cache", "stream"])
def test_images_of_a_pixel_and_texts_are_listed_or_left_out_and_counted(
    root: Path, store: str
) -> None:
    tree(root, {"train/a": 4, "train/b": 4, "test/a": 1, "test/b": 1})
    (root / "train/a/text.jpg").write_text("no image at all")
    save(root / "train/b/dot.png", np.zeros((1, 1), np.uint8))
    whole = (root / "train/a/train_a_0.jpg").read_bytes()
    (root / "train/b/half.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError) as error:
        cut(source(root, store), "class", 2)
    said = str(error.value)
    assert "3 of 11 images of the train part cannot be used" in said
    assert "train/a/text.jpg (no JPEG, PNG, WebP, BMP or TIFF image)" in said
    assert "train/b/dot.png (of 1×1 pixels, 4 or more are needed)" in said
    assert "train/b/half.jpg (damaged or unreadable" in said
    assert "set data.on_bad_image: skip" in said
    skipping = source(root, store, on_bad_image="skip")
    assert len(select_part(skipping, "train").unreadable()) == 3
    splits = cut(skipping, "class", 2)
    assert [len(split.train) for split in splits] == [4, 4]
    assert [split.counts["train"].all for split in splits] == [4, 4]
    assert [len(split.labels["train"]) for split in splits] == [4, 4]
    skipped = {split.class_names[0]: split.skipped for split in splits}
    assert skipped == {"a": {"train": 1, "test": 0}, "b": {"train": 2, "test": 0}}
    held = {path for split in splits for path in split.train}
    assert len(held) == 8
    assert not held & {"train/a/text.jpg", "train/b/dot.png", "train/b/half.jpg"}


@pytest.mark.parametrize("store", ["cache", "stream"])
@pytest.mark.parametrize("on_bad_image", ["error", "skip"])
def test_memory_that_is_short_names_the_file_and_counts_it_as_no_bad_image(
    store: str, on_bad_image: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(root, {"train/a": 4, "test/a": 1})
    decode = Image.Image.resize

    def resize(image: Image.Image, *arguments: Any, **named: Any) -> Image.Image:
        if getattr(image, "filename", "").endswith("a_2.jpg"):
            raise MemoryError
        return decode(image, *arguments, **named)

    monkeypatch.setattr(Image.Image, "resize", resize)
    found = source(root, store, on_bad_image=on_bad_image)
    with pytest.raises(DataError, match=r"train_a_2\.jpg: out of memory while it was decoded; end"):
        read_part(found, "train", [0, 1, 2, 3])


def test_a_link_to_a_file_that_is_gone_is_listed_or_left_out(root: Path) -> None:
    tree(root, {"train/a": 4, "train/b": 4, "test/a": 1, "test/b": 1})
    (root / "train/a/gone.jpg").symlink_to(root / "nowhere.jpg")
    with pytest.raises(DataError, match=r"1 of 9 .*: train/a/gone\.jpg \(.*No such file"):
        cut(source(root), "class", 2)
    skipping = source(root, on_bad_image="skip")
    assert sum(len(split.train) for split in cut(skipping, "class", 2)) == 8
    before = select_part(skipping, "train").fingerprint()
    save(root / "nowhere.jpg", embedded(1)[0])
    found = source(root, on_bad_image="skip")
    assert select_part(found, "train").fingerprint() != before
    assert sum(len(split.train) for split in cut(found, "class", 2)) == 9


def test_the_first_ten_bad_images_are_named_and_the_others_counted(root: Path) -> None:
    tree(root, {"train/a": 2, "train/b": 2, "test/a": 1, "test/b": 1})
    for number in range(14):
        (root / f"train/a/{number:02}.jpg").write_text("x")
    with pytest.raises(DataError) as error:
        cut(source(root), "class", 2)
    assert "train/a/09.jpg" in str(error.value)
    assert "train/a/10.jpg" not in str(error.value)
    assert "and 4 more" in str(error.value)


def test_the_fingerprint_moves_with_names_bytes_and_labels_alone(root: Path) -> None:
    tree(root, {"train/a": 2, "train/b": 2, "test/a": 1, "test/b": 1})

    def fingerprint(of: Path, part: str) -> str:
        return select_part(source(of), part).fingerprint()

    before = fingerprint(root, "train")
    copied = Path(shutil.copytree(root, root.parent / "elsewhere"))
    assert fingerprint(copied, "train") == before
    image = copied / "train/a/train_a_0.jpg"
    content = bytearray(image.read_bytes())
    content[-10] ^= 1
    image.write_bytes(content)
    assert fingerprint(copied, "train") != before
    assert fingerprint(copied, "test") == fingerprint(root, "test")
    (root / "train/a/train_a_0.jpg").rename(root / "train/b/train_a_0.jpg")
    assert fingerprint(root, "train") != before


def test_the_fingerprint_of_a_set_is_the_same_in_any_order_and_moves_with_names_and_bytes(
    root: Path,
) -> None:
    tree(root, {"train/a": 3, "train/b": 2, "test/a": 1, "test/b": 1})
    before, turned = (
        select_part(source(root), "train"),
        select_part(source(root), "train", [4, 2, 0, 1, 3]),
    )
    assert turned.set_fingerprint() == before.set_fingerprint()
    assert turned.fingerprint() != before.fingerprint()
    fewer = select_part(source(root), "train", range(4))
    assert fewer.set_fingerprint() != before.set_fingerprint()
    (root / "train/a/train_a_0.jpg").rename(root / "train/a/another.jpg")
    assert select_part(source(root), "train").set_fingerprint() != before.set_fingerprint()


def test_images_are_opened_by_their_paths_whether_others_are_there_or_not(root: Path) -> None:
    tree(root, {"train/a": 3, "train/b": 3, "test/a": 1, "test/b": 1})
    keys = list(source(root).keys("train"))
    whole = read_part(source(root), "train")
    shutil.rmtree(root / "train/a")
    of_b = source(root).select("train", keys[3:])
    assert np.array_equal(of_b.reader()[np.arange(3)], whole[3:])
    assert [
        source(root).select("train", chosen).is_gone() for chosen in (keys, keys[3:], keys[:3])
    ] == [False, False, True]
