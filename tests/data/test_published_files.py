"""Tiny ImageNet, ImageNet-100 and DomainNet from their published files."""

from __future__ import annotations

import gzip
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from pipeline.data.datasets.domainnet import DOMAINS, DomainNet
from pipeline.data.datasets.idx import read_idx
from pipeline.data.datasets.idx_source import NAMES
from pipeline.data.datasets.imagenet100 import ImageNet100
from pipeline.data.datasets.mnist import MNIST
from pipeline.data.datasets.tiny_imagenet import TinyImageNet
from pipeline.data.stream.scenarios import StreamOptions, divide_into_tasks
from pipeline.errors import DataError
from tests.support.image_files import embedded, file_options, reading, save, tree
from tests.support.project import write_idx
from tests.support.selections import read_part
from tests.support.streams import cut


def tiny_imagenet(root: Path) -> Path:
    """Three classes in the layout of tiny-imagenet-200.zip."""
    base = root / "tiny-imagenet-200"
    kinds = ("n01", "n02", "n03")
    tree(base / "train", {f"{kind}/images": 3 for kind in kinds}, ".JPEG")
    for kind in kinds:
        (base / "train" / kind / f"{kind}_boxes.txt").write_text("0 0 1 1\n")
    lines = []
    for number, image in enumerate(embedded(6)):
        save(base / f"val/images/val_{number}.jpeg", image).rename(
            base / f"val/images/val_{number}.JPEG"
        )
        lines.append(f"val_{number}.JPEG\t{kinds[number % 3]}\t0\t32\t44\t62\n")
    (base / "val/val_annotations.txt").write_text("".join(lines))
    (base / "words.txt").write_text(
        "n01\tgoldfish, Carassius auratus\nn02\tcrane\nn03\tcrane, bird\n"
    )
    tree(base, {"test/images": 2}, ".JPEG")
    return root


def test_tiny_imagenet_is_read_as_its_archive_unpacks(tmp_path: Path) -> None:
    root = tiny_imagenet(tmp_path / "data")
    for place in (root, root / "tiny-imagenet-200"):
        source = TinyImageNet(place, file_options(), reading(tmp_path / "scratch"))
        assert source.class_names() == ["goldfish", "crane (n02)", "crane (n03)"]
        assert np.bincount(source.labels("train")).tolist() == [3, 3, 3]
        assert source.labels("test").tolist() == [0, 1, 2, 0, 1, 2]
        assert read_part(source, "test", range(6)).shape == (6, 3, 16, 16)
        assert len(divide_into_tasks("class", source, StreamOptions(3, 0))) == 3


def test_without_tiny_imagenet_the_error_says_what_to_put_where(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"val_annotations\.txt is missing; unpack tiny-imagenet-200\.zip"
    ):
        TinyImageNet(tmp_path, file_options(), reading(tmp_path / "s")).labels("train")


def test_a_broken_annotation_is_named_by_its_line(tmp_path: Path) -> None:
    root = tiny_imagenet(tmp_path / "data")
    (root / "tiny-imagenet-200/val/val_annotations.txt").write_text(
        "val_0.JPEG\tn01\nval_1.JPEG n02\n"
    )
    with pytest.raises(DataError, match=r"val_annotations\.txt, line 2: expected name and class"):
        TinyImageNet(root, file_options(), reading(tmp_path / "s")).labels("test")


def imagenet(root: Path, kinds: int = 4) -> Path:
    counts = {f"{part}/n{kind:08}": 2 for part in ("train", "val") for kind in range(kinds)}
    return tree(root, counts, ".jpeg")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("head", ["# the published ones\n", ""])
def test_imagenet_is_cut_to_the_classes_of_the_list(
    tmp_path: Path, head: str, encoding: str
) -> None:
    root = imagenet(tmp_path / "imagenet")
    chosen = tmp_path / "classes.txt"
    chosen.write_text(f"{head}n00000003 n00000001\n", encoding)
    options = file_options(class_list=str(chosen))
    source = ImageNet100(root, options, reading(tmp_path / "scratch"))
    assert source.class_names() == ["n00000001", "n00000003"]
    assert source.labels("train").tolist() == source.labels("test").tolist() == [0, 0, 1, 1]
    assert read_part(source, "train", [3]).shape == (1, 3, 16, 16)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "has 4 classes; name a file with the 100 class folders"),
        ("n00000001 n00000009", "lacks 1 of the 2 classes in .*: n00000009"),
        ("n00000001 n00000001", "has n00000001 twice"),
    ],
)
def test_a_list_that_does_not_fit_is_one_clear_error(
    tmp_path: Path, text: str | None, problem: str
) -> None:
    root = imagenet(tmp_path / "imagenet")
    given = None
    if text is not None:
        given = str(tmp_path / "classes.txt")
        Path(given).write_text(text)
    source = ImageNet100(root, file_options(class_list=given), reading(tmp_path / "s"))
    with pytest.raises(DataError, match=rf"data\.class_list: .*{problem}"):
        source.labels("train")


def test_without_imagenet_the_error_says_what_to_name(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"train is missing; name the folder that holds train/ and val/"
    ):
        ImageNet100(tmp_path, file_options(), reading(tmp_path / "s")).labels("train")


def domainnet(root: Path) -> Path:
    kinds = {"aircraft_carrier": 0, "zebra": 344}
    for domain in ("clipart", "real", "sketch"):
        tree(root, {f"{domain}/{kind}": 4 for kind in kinds}, ".jpg")
        for part, numbers in (("train", (0, 1, 2)), ("test", (3,))):
            lines = [
                f"{domain}/{kind}/{domain}_{kind}_{number}.jpg {label}\n"
                for kind, label in kinds.items()
                for number in numbers
            ]
            (root / f"{domain}_{part}.txt").write_text("".join(lines))
    return root


def test_domainnet_is_read_by_its_lists_in_the_papers_order(tmp_path: Path) -> None:
    root = domainnet(tmp_path / "domainnet")
    source = DomainNet(root, file_options(), reading(tmp_path / "scratch"))
    assert source.domain_names() == ["real", "sketch", "clipart"]
    assert set(source.domain_names()) < set(DOMAINS)
    assert source.class_names() == ["aircraft_carrier", "zebra"]
    tasks = divide_into_tasks("domain", source, StreamOptions(3, 0))
    assert [(t.domain, len(t.images["train"]), len(t.images["test"])) for t in tasks] == [
        ("real", 6, 2),
        ("sketch", 6, 2),
        ("clipart", 6, 2),
    ]
    paths = np.array(source.keys("train"))
    assert all(path.startswith("sketch/") for path in paths[tasks[1].images["train"]])
    assert read_part(source, "train", tasks[1].images["train"].tolist()).shape == (6, 3, 16, 16)


def test_domainnet_without_lists_is_read_by_its_folders(tmp_path: Path) -> None:
    root = domainnet(tmp_path / "domainnet")
    for path in root.glob("*.txt"):
        path.unlink()
    source = DomainNet(root, file_options(), reading(tmp_path / "scratch"))
    assert source.domain_names() == ["real", "sketch", "clipart"]
    assert len(source.labels("test")) == 6


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda root: (root / "real_test.txt").unlink(), r"real_test\.txt cannot be read"),
        (lambda root: (root / "real_train.txt").write_text("a.jpg\n"), r"real_train\.txt, line 1: expected 'domain/class/file label'"),
        (lambda root: (root / "real/zebra/real_zebra_1.jpg").unlink(), r"1 of 18 images .* cannot be used: real/zebra/real_zebra_1\.jpg \(.*No such file"),
    ],
)  # fmt: skip
def test_lists_that_do_not_fit_are_one_clear_error(tmp_path: Path, spoil, problem: str) -> None:  # type: ignore[no-untyped-def]
    root = domainnet(tmp_path / "domainnet")
    spoil(root)
    with pytest.raises(DataError, match=problem):
        cut(DomainNet(root, file_options(), reading(tmp_path / "s")), "domain", 3)


def mnist(root: Path, monkeypatch: pytest.MonkeyPatch) -> MNIST:
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    images, labels = embedded(6), np.array([3, 1, 4, 1, 5, 9], np.uint8)
    for name, array in {
        "train-images-idx3-ubyte": images,
        "train-labels-idx1-ubyte": labels,
        "t10k-images-idx3-ubyte": images[:2],
        "t10k-labels-idx1-ubyte": labels[:2],
    }.items():
        write_idx(raw / f"{name}.gz", array)
    digests = tuple(
        hashlib.sha256(gzip.decompress((raw / f"{name}.gz").read_bytes())).hexdigest()
        for name in NAMES
    )
    monkeypatch.setattr(MNIST, "digests", digests)
    return MNIST(root, True, tuple("0123456789"))


def test_mnist_is_read_from_torchvisions_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = mnist(tmp_path, monkeypatch)
    assert source.describe_download() == ""
    assert np.array_equal(source.images("train")[:, 0], embedded(6))
    assert source.labels("train").tolist() == [3, 1, 4, 1, 5, 9]
    assert source.labels("test").tolist() == [3, 1]


@pytest.mark.parametrize(
    "place", ["as torchvision has them", "unpacked", "compressed anew, in root"]
)
def test_mnist_is_known_by_its_content(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = mnist(tmp_path, monkeypatch)
    for path in sorted((tmp_path / "MNIST/raw").iterdir()):
        content = gzip.decompress(path.read_bytes())
        if place == "unpacked":
            path.with_suffix("").write_bytes(content)
        elif place != "as torchvision has them":
            (tmp_path / path.name).write_bytes(gzip.compress(content, 1, mtime=12345))
        if place != "as torchvision has them":
            path.unlink()
    assert source.describe_download() == ""
    assert source.labels("train").tolist() == [3, 1, 4, 1, 5, 9]


def test_a_file_that_is_there_and_differs_is_said_to_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = mnist(tmp_path, monkeypatch)
    write_idx(tmp_path / "MNIST/raw/train-labels-idx1-ubyte.gz", np.zeros(6, np.uint8))
    with pytest.raises(
        DataError, match=r"labels-idx1-ubyte\.gz is there, and what it holds is not"
    ):
        source.labels("train")


def test_a_header_of_a_hundred_dimensions_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(bytes([0, 0, 8, 100]) + bytes([0xFF] * 400))
    with pytest.raises(DataError, match="an array of 100 dimensions, expected 1 to 4"):
        read_idx(path)


def test_without_a_network_mnist_says_where_to_put_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(root: str, download: bool) -> None:
        raise RuntimeError("no network")

    monkeypatch.setattr("torchvision.datasets.MNIST", offline)
    with pytest.raises(DataError, match=r"MNIST is not in .*\(no network\); put its four files"):
        MNIST(tmp_path, True).images("train")
    with pytest.raises(DataError, match=r"set data\.full: true"):
        MNIST(tmp_path, False).images("train")


def test_lists_that_are_no_utf8_or_lead_elsewhere_are_one_clear_error(tmp_path: Path) -> None:
    root = tiny_imagenet(tmp_path / "tiny")
    source = TinyImageNet(root, file_options(), reading(tmp_path / "s"))
    lists = root / "tiny-imagenet-200/val/val_annotations.txt"
    whole = lists.read_text()
    lists.write_text(whole.replace("val_0", "/etc/val_0"))
    with pytest.raises(DataError, match=r"line 1: '/etc/val_0\.JPEG' leads out of the data set"):
        source.class_names()
    lists.write_bytes(whole.encode() + b"caf\xe9\tn01\n")
    with pytest.raises(DataError, match=r"val_annotations\.txt is not UTF-8 \(at byte"):
        source.class_names()
    lists.write_text(whole)
    words = root / "tiny-imagenet-200/words.txt"
    words.write_bytes(b"n01\tcaf\xe9\n")
    with pytest.raises(DataError, match=r"words\.txt is not UTF-8"):
        source.class_names()
    words.unlink()
    os.mkfifo(words)
    with pytest.raises(DataError, match=r"words\.txt cannot be read \(it is no regular file\)"):
        source.class_names()


def test_domains_as_published_lack_a_class_here_and_there(tmp_path: Path) -> None:
    """The published painting_train.txt has no t-shirt, and the cleaned test list no syringe."""
    root = domainnet(tmp_path / "domainnet")
    lists = root / "real_train.txt"
    kept = [line for line in lists.read_text().splitlines() if "/zebra/" not in line]
    lists.write_text("\n".join(kept) + "\n")
    found = DomainNet(root, file_options(), reading(tmp_path / "s"))
    splits = cut(found, "domain", 3)
    assert "zebra" in found.class_names()
    assert all("zebra" in split.class_names for split in splits), "some have it to test on"
    assert "zebra" not in splits[0].names("train")
