"""A store of images that a killed process was writing goes, and one being written stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline import layout
from pipeline.data.image_files import store_writer
from pipeline.data.image_files.content import digest_content
from pipeline.data.image_files.store import ImageFiles
from pipeline.data.image_files.store_writer import inspect_images, store_path
from pipeline.files.atomic import find_unfinished
from tests.support.image_files import tree
from tests.support.params import ROOT
from tests.support.project import Project

# Decoding stops in the middle, as if there were many images left.
WRITER = """
import sys, time
from pathlib import Path
from pipeline.data.image_files import store, store_writer
from pipeline.data.image_files.store import ImageFiles
root, place = map(Path, sys.argv[1:])
def decode(*arguments):
    print("decoding", flush=True)
    time.sleep(60)
store.read_square = decode
paths = sorted(path.name for path in root.iterdir())
store_writer.inspect_images(ImageFiles(root, paths, 16, (255, 255, 255), "bilinear"), place, 1, keep=True)
"""


def test_a_killed_writers_store_is_listed_and_removed_and_a_living_ones_stays(
    project: Project, tmp_path: Path
) -> None:
    root = tree(tmp_path / "images", {".": 3}, ".png")
    files = ImageFiles(
        root, sorted(path.name for path in root.iterdir()), 16, (255, 255, 255), "bilinear"
    )
    place = store_path(layout.STORES, "f" * 64, files)
    command = [sys.executable, "-c", WRITER, str(root), str(project.root / place)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"decoding\n"
            (left,) = find_unfinished(layout.STORES)
            os.utime(left, (0, 0))
            assert project.must("clean", "--all", "--yes") == "nothing to remove\n"
            assert left.exists()
        finally:
            process.send_signal(signal.SIGKILL)
    out = project.must("clean", "--yes")
    assert f"{left}  0.0 MB  an unfinished store of images" in out
    assert not left.exists()

    os.utime(_copy(left), (0, 0))
    young = _copy(left.with_name(f"{left.name[:-8]}abcd1234"))
    os.utime(young, (time.time() + 60, time.time() + 60))
    assert inspect_images(files, place, 1, keep=True).bad == {}
    assert find_unfinished(layout.STORES) == [young], "the next writer has removed the old one"


def _copy(path: Path) -> Path:
    path.write_bytes(b"half")
    return path


def test_a_damaged_digest_of_the_images_is_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, scratch = tree(tmp_path / "images", {".": 3}, ".png"), tmp_path / "scratch"
    paths = sorted(path.name for path in root.iterdir())
    assert digest_content(root, paths, scratch, 1), "too new to be cached"
    assert not scratch.exists()
    monkeypatch.setattr("pipeline.data.image_files.content.TICK_SECONDS", -60)
    content = digest_content(root, paths, scratch, 1)
    (kept,) = scratch.iterdir()
    whole = kept.read_bytes()
    changed = [whole.replace(digest[:9].encode(), b"123456789") for digest in content.each]
    for damaged in (*changed, b"\xff", b"null\n", b"{}\n"):
        assert damaged != whole
        kept.write_bytes(damaged)
        assert digest_content(root, paths, scratch, 1) == content
        assert kept.read_bytes() == whole


def test_a_damaged_note_of_bad_images_is_made_again(tmp_path: Path) -> None:
    root = tree(tmp_path / "images", {".": 3}, ".png")
    (root / "a.png").write_bytes(b"no image")
    files = ImageFiles(
        root, sorted(path.name for path in root.iterdir()), 16, (255, 255, 255), "bilinear"
    )
    place = store_path(tmp_path / "scratch", "f" * 64, files)
    found = inspect_images(files, place, 1, keep=True)
    assert list(found.bad) == ["0"]
    note = place.with_suffix(".json")
    whole = note.read_bytes()
    for damaged in (whole.replace(b'"0"', b'"1"'), b"", b"null\n", b"[]\n"):
        note.write_bytes(damaged)
        assert inspect_images(files, place, 1, keep=True) == found
        assert note.read_bytes() == whole
    assert store_writer._read_findings(place, 5) is None
