"""Paths in params.yaml: a home folder, and the backslashes of another system."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline import layout
from pipeline.config.plan_data import plan_labelled, plan_preparation
from pipeline.config.read import load_params
from pipeline.layout import PARAMS
from tests.support.params import ROOT
from tests.support.project import Project


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    return home


def test_a_tilde_is_the_home_folder_in_the_plans(project: Project, home: Path) -> None:
    project.set(
        {
            "dataset": "image_folder",
            "scenario": "folders",
            "num_tasks": None,
            "data.folders": ["~/photos", "b"],
            "data.labelled_root": "~/labels",
            "data.class_list": "~/classes.txt",
        }
    )
    params = load_params(PARAMS)
    files = plan_preparation(params).dataset.files
    assert files is not None
    assert files.folders == (str(home / "photos"), "b")
    assert files.class_list == str(home / "classes.txt")
    labelled = plan_labelled(params)
    assert labelled is not None
    assert labelled.root == str(home / "labels")


def test_a_root_that_dvc_would_not_find_is_refused_with_the_one_it_finds(
    project: Project, home: Path
) -> None:
    project.set({"data.root": "~/photos"})
    assert project.refuses("plan") == (
        "error: params.yaml: data.root: '~/photos' begins with ~, which DVC does not expand; "
        f"write '{home}/photos'"
    )


def test_the_name_of_no_user_is_a_name(project: Project) -> None:
    project.set({"data.labelled_root": "~nobody-of-this-name/labels"})
    assert load_params(PARAMS).data.labelled_root == "~nobody-of-this-name/labels"


@pytest.mark.parametrize(
    ("key", "empty", "where"),
    [
        ("data.root", "", "data.root"),
        ("data.labelled_root", "", "data.labelled_root"),
        ("data.class_list", "", "data.class_list"),
        ("data.folders", ["a", ""], "data.folders.1"),
        ("evaluation.transfer", [""], "evaluation.transfer.0"),
        ("stream.superclasses", "", "stream.superclasses"),
        ("backbone.weights", "", "backbone.weights"),
    ],
)
def test_an_empty_path_is_none(key: str, empty: object, where: str, project: Project) -> None:
    project.set({key: empty})
    assert project.refuses("slots", "6") == (
        f"error: params.yaml: {where}: string should have at least 1 character, got ''"
    )


@pytest.mark.parametrize("command", ["plan", "slots 6", "check"])
@pytest.mark.parametrize(
    ("key", "given", "shown"),
    [
        ("data.root", ".", "."),
        ("data.labelled_root", "..", ".."),
        ("evaluation.transfer", ["inside/.."], "inside/.."),
        ("data.folders", ["../../../other", "../.."], "data/fashion_mnist/../.."),
    ],
)
def test_a_folder_that_holds_the_project_is_refused(
    key: str, given: object, shown: str, command: str, project: Project
) -> None:
    shutil.copy(ROOT / layout.CHAIN, layout.CHAIN)
    Path("inside").mkdir()
    folders = {"dataset": "image_folder", "scenario": "folders", "num_tasks": None}
    project.set({**(folders if key == "data.folders" else {}), key: given})
    said = project.refuses(*command.split()).splitlines()
    assert (
        said.count(
            f"error: {key}: '{shown}' holds this project and what it writes, which DVC cannot have; "
            "name a folder that holds images alone"
        )
        == 1
    )


@pytest.mark.parametrize("key", ["data.root", "data.labelled_root", "data.class_list"])
def test_backslashes_are_said_to_be_slashes(key: str, project: Project) -> None:
    project.set({key: "data\\fashion_mnist"})
    assert project.refuses("plan") == (
        f"error: params.yaml: {key}: 'data\\fashion_mnist' is not there; write "
        "'data/fashion_mnist', with / between folders"
    )
    Path("data\\fashion_mnist").mkdir()
    load_params(PARAMS)
