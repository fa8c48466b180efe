"""The streams of images that come with the project: what they hold, and what is refused."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.artifacts.split import read_split
from pipeline.config.read import load_params
from pipeline.layout import PARAMS
from tests.support.params import ROOT
from tests.support.project import Project

SHEETS = ROOT / "data/emoji"
VENDORS = ("noto", "twemoji", "openmoji", "fluent")
PER_VENDOR = {
    "activities": 85,
    "animals": 153,
    "food": 128,
    "objects": 261,
    "people": 149,
    "smileys": 159,
    "symbols": 223,
    "travel": 218,
}


@pytest.fixture
def project(project: Project) -> Project:
    shutil.copytree(SHEETS, project.root / "data/emoji")
    shutil.copytree(ROOT / "presets", project.root / "presets")
    return project


def test_emoji_are_unpacked_with_transparency_and_held_out_by_name(project: Project) -> None:
    said = project.must("example-stream", "emoji")
    assert "data/raw/emoji: 5504 images in noto, twemoji, openmoji, fluent" in said
    root = Path("data/raw/emoji")
    found = sorted(root.rglob("*.png"))
    counts = Counter(tuple(path.relative_to(root).parts[:2]) for path in found)
    assert counts == {(v, kind): n for v in VENDORS for kind, n in PER_VENDOR.items()}
    names = {vendor: {path.name for path in (root / vendor).rglob("*.png")} for vendor in VENDORS}
    assert all(names[vendor] == names["noto"] for vendor in VENDORS)
    contents = {hashlib.sha256(path.read_bytes()).digest() for path in found}
    assert len(contents) == len(found)
    for vendor in VENDORS:
        with Image.open(root / vendor / "smileys/1f600.png") as face:
            assert (face.mode, face.size) == ("RGBA", (32, 32))
            pixels = np.asarray(face)
        assert tuple(pixels[0, 0]) == (0, 0, 0, 0)
        red, _, blue, opacity = pixels[10, 16].tolist()
        assert opacity == 255
        assert red > 200 > blue  # the yellow of a forehead

    again = project.must("example-stream", "emoji")
    assert again.splitlines() == said.splitlines()[:1]
    params = load_params(PARAMS)
    assert (params.scenario, params.num_tasks, params.data.domains) == (
        "domain",
        None,
        list(VENDORS),
    )
    assert (params.data.holdout_by, params.data.background) == ("name", "white")
    project.must("plan")
    project.must("prepare")
    splits = [read_split(task) for task in range(1, 5)]
    assert [split.domain for split in splits] == list(VENDORS)
    for part, count in (("train", 1087), ("test", 289)):
        stems = [{Path(str(name)).stem for name in getattr(split, part)} for split in splits]
        assert len(stems[0]) == count
        assert all(found == stems[0] for found in stems), "an emoji is learnt and tested"


def test_nothing_of_a_stream_used_before_remains_in_effect(project: Project) -> None:
    project.set({"data.holdout_by": "name", "data.domains": list(VENDORS)})
    said = project.must("example-stream", "clothes", "here", "later")
    assert "here: 130 images in 1-plain, 2-inverted, 3-rotated, 4-blurred" in said
    assert "later: 30 images in 5-faded" in said
    data = load_params(PARAMS).data
    assert (data.root, data.domains, data.holdout_by) == ("here", None, "file")


def test_without_a_name_the_stream_is_of_clothes(project: Project) -> None:
    project.must("example-stream")
    assert sorted(path.name for path in Path("stream").iterdir())[0] == "1-plain"
    assert [path.name for path in Path("incoming").iterdir()] == ["5-faded"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("emojy",), "example-stream: 'emojy' is unknown; did you mean 'emoji'"),
        (("my-folder",), "one of: clothes, emoji; the folder comes after it"),
        (("emoji", "here", "later"), "there is none for later; leave it out"),
        (("emoji", "data"), "data is not empty; name another folder, or remove it"),
        (("clothes", "here", "data"), "data is not empty; name another folder, or remove it"),
        (("emoji", "params.yaml"), "cannot write params.yaml: Not a directory"),
    ],
)
def test_what_cannot_be_written_is_one_clear_error(
    project: Project, arguments: tuple[str, ...], said: str
) -> None:
    assert said in project.refuses("example-stream", *arguments)


@pytest.mark.parametrize("arguments", [("odd\udcff",), ("here", "odd\udcff"), ("odd\x7f",)])
def test_a_folder_that_params_cannot_hold_is_named(
    project: Project, arguments: tuple[str, ...]
) -> None:
    said = project.refuses("example-stream", "clothes", *arguments)
    assert said.startswith("error: example-stream clothes: 'odd\\")
    assert "cannot stand in params.yaml" in said


@pytest.mark.parametrize("incoming", ["here", "here/late", "."])
def test_folders_that_overlap_are_refused(incoming: str, project: Project) -> None:
    said = project.refuses("example-stream", "clothes", "here", incoming)
    assert "are one folder, or one is in the other" in said


def test_a_missing_or_another_sheet_is_one_clear_error(project: Project) -> None:
    sheet = Path("data/emoji/noto.webp")
    sheet.write_bytes(sheet.read_bytes()[:-1])
    assert "noto.webp is not as SHA256SUMS says; restore it: git checkout data/emoji" in (
        project.refuses("example-stream", "emoji")
    )
    sheet.unlink()
    assert "data/emoji/noto.webp: No such file or directory; restore it" in (
        project.refuses("example-stream", "emoji")
    )


@pytest.mark.parametrize("content", [b"", b"\n\xff\n", b"half a line"])
def test_damaged_sums_are_one_clear_error(project: Project, content: bytes) -> None:
    shutil.copytree(ROOT / "data/emoji", "data/emoji", dirs_exist_ok=True)
    Path("data/emoji/SHA256SUMS").write_bytes(content)
    assert "emoji.csv is not as SHA256SUMS says; restore it" in project.refuses(
        "example-stream", "emoji"
    )


def test_every_sheet_has_its_licence_named_and_is_small() -> None:
    text = (SHEETS / "README.md").read_text()
    rows = {line.split("|")[1].strip(): line for line in text.splitlines() if ".webp |" in line}
    licences = ("Apache License 2.0", "CC BY 4.0", "CC BY-SA 4.0", "MIT License")
    for vendor, licence in zip(VENDORS, licences, strict=True):
        assert licence in rows[f"{vendor}.webp"]
    script = (SHEETS / "make_sheets.py").read_text()
    for name, version in (
        ("emoji-datasource-google", "16.0.0"),
        ("emoji-datasource-twitter", "16.0.0"),
        ("openmoji", "17.0.0"),
        ("@iconify-json/fluent-emoji-flat", "1.2.6"),
    ):
        assert f"{name} {version}" in text
        assert f'"{name}": "{version}"' in script
    assert sum(path.stat().st_size for path in SHEETS.iterdir()) < 6_000_000
