"""What check says of folders of images."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.data.image_files import survey
from tests.support.project import Project


def fill(folders: str, count: int = 10) -> None:
    for place, folder in enumerate(folders.split()):
        path = Path("own") / folder
        path.mkdir(parents=True, exist_ok=True)
        for n in range(count):
            pixels = np.random.default_rng(100 * place + n).integers(0, 256, (20, 24, 4), np.uint8)
            Image.fromarray(pixels).save(path / f"{n}.png")


@pytest.fixture
def own(project: Project) -> Project:
    """A project whose images are those in the folder ``own``."""
    for command in (["git", "init", "-q"], ["dvc", "init", "-q"]):
        subprocess.run(command, check=True)
    project.set(
        {
            "dataset": "image_folder",
            "data.root": "own",
            "data.image_size": 16,
            "scenario": "domain",
            "num_tasks": 2,
            "train.batch_size": 4,
        }
    )
    return project


def test_check_shows_what_it_understood(own: Project) -> None:
    fill("photo/cat photo/dog sketch/cat sketch/dog sketch/owl")
    Path("own/photo/cat/moving.gif").write_bytes(b"GIF89a")
    out = own.must("check")
    assert "task 1 photo: 16 images to learn from, 4 to test on; 2 classes: cat 8+2, dog 8+2" in out
    assert (
        "task 2 sketch: 24 images to learn from, 6 to test on; 3 classes: cat 8+2, dog 8+2, " in out
    )
    assert "test part: 0.2 of each class, held out (data.holdout)" in out
    assert "images (all looked at): 24×20 pixels; 50 PNG RGBA with transparency" in out
    assert "left out, as they are no images: 1 .gif" in out
    assert "data.root: own is not tracked by git" in out
    assert str(Path("own").resolve()) in out


def test_a_folder_without_test_images_beside_one_with_some_is_named(own: Project) -> None:
    fill("1/train/cat 1/train/dog 1/test/cat 1/test/dog 2/cat 2/dog")
    given = {"scenario": "folders", "num_tasks": None}
    own.set({**given, "data.holdout": 0.0})
    assert "there are none of task 2 (cat, dog); add some to the test" in own.refuses("check")
    own.set({"data.holdout": 0.2})
    assert "task 2 2: 16 images to learn from, 4 to test on" in own.must("check")


def test_check_names_all_problems_of_all_kinds_at_once(own: Project) -> None:
    fill("photo/cat photo/dog sketch/cat sketch/dog")
    Path("own/photo/cat/gone.png").symlink_to("nowhere.png")
    os.mkfifo("own/sketch/dog/pipe.png")
    own.set({"train.batch_size": 100, "num_tasks": 2})
    said = own.refuses("check")
    assert "1 links to nothing: photo/cat/gone.png; remove them" in said
    assert "1 pipes or devices: sketch/dog/pipe.png; remove them" in said
    assert "train.batch_size (100) is above the 17 images of task 1" in said
    assert len(said.splitlines()) == 3


def test_nobody_is_told_to_remove_images_that_may_not_be_looked_at(
    own: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill("photo/cat photo/dog sketch/cat sketch/dog")
    Path("own/photo/cat/gone.png").symlink_to("nowhere.png")
    Path("own/photo/cat/loop.png").symlink_to("loop.png")
    Path("own/photo/cat/within.png").symlink_to("0.png/1.png")
    looked = survey.read_mode

    def look(entry: os.DirEntry[str]) -> int:
        if "/dog/" in entry.path:  # as in a folder after chmod 444, for all but root
            raise PermissionError(13, "Permission denied", entry.path)
        return looked(entry)

    monkeypatch.setattr(survey, "read_mode", look)
    said = own.refuses("check")
    assert "own: 3 links to nothing: photo/cat/gone.png, photo/cat/loop.png" in said
    # The ten images of each.
    assert "own: 20 cannot be read (Permission denied): photo/dog/0.png" in said
    assert "; make them readable for this user" in said


def test_a_problem_that_several_steps_find_is_said_once(own: Project) -> None:
    fill("photo/cat photo/dog sketch/cat sketch/dog")
    Path("dvc.yaml").write_text("stages: {}\n")
    [line] = own.refuses("check").splitlines()
    assert line.startswith("error: dvc.yaml is not the pipeline's ('train')")


def test_left_out_links_stop_dvc_all_the_same(own: Project) -> None:
    fill("photo/cat photo/dog sketch/cat sketch/dog")
    Path("own/photo/cat/gone.png").symlink_to("nowhere.png")
    own.set({"data.on_bad_image": "skip"})
    assert "`dvc repro` reads all of the folder and fails on them" in own.refuses("check")
    own.set({"data.root": str(Path("own").resolve())})
    assert "left out: 1 links to nothing: photo/cat/gone.png" in own.must("check")


def test_check_decodes_all_images_where_it_is_asked_to(own: Project) -> None:
    fill("photo/cat photo/dog sketch/cat sketch/dog")
    whole = Path("own/photo/cat/0.png").read_bytes()
    Path("own/sketch/dog/again.png").write_bytes(whole)
    own.must("check")
    out = own.must("check", "--deep")
    assert "images: all were decoded" in out
    assert "1 images have the bytes of an earlier one" in out
    Path("own/sketch/cat/half.png").write_bytes(whole[: len(whole) // 2])
    own.must("check")
    assert "sketch/cat/half.png (damaged or unreadable" in own.refuses("check", "--deep")
    assert not Path("data/splits").exists()


def test_folders_named_by_sizes_are_noticed(own: Project) -> None:
    fill("16x16/cat 16x16/dog 32x32/cat 32x32/dog")
    assert "folders are named by sizes (16x16, 32x32): the same image in" in own.must("check")


def test_check_of_a_labelled_folder_counts_its_images(own: Project) -> None:
    fill(".", 12)
    own.set({"scenario": "data"})
    assert "labels: none to test on; training works" in own.must("check")
    Path("own").rename("flat")
    fill("cat dog")
    Path("own").rename("labelled")
    own.set({"data.root": "flat", "data.labelled_root": "labelled"})
    out = own.must("check")
    assert "labels: 2 classes in labelled, 16 images to learn from, 4 to test on" in out
    assert "data: 12 training and 0 test images" in out


def test_data_params_that_do_not_fit_are_refused(own: Project) -> None:
    for change, problem in (
        ({"data.holdout_by": "group"}, "holdout_group is the regular expression of holdout_by"),
        ({"data.holdout_group": "x", "data.holdout_by": "file"}, "holdout_group is the regular"),
        ({"data.holdout_group": "(", "data.holdout_by": "group"}, "must be a regular expression"),
        (
            {"data.holdout_group": None, "data.holdout_by": "file", "data.background": "pink"},
            "background",
        ),
        ({"data.background": [0, 0, 256]}, "background"),
        ({"data.background": "white", "data.classes": "some"}, "classes"),
    ):
        own.set(change)
        assert problem in own.refuses("check")
