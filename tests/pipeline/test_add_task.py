"""Folders that are appended one after another, with and without a cut in between."""

from __future__ import annotations

import shutil
import unicodedata
from pathlib import Path

import pytest

from pipeline import layout
from pipeline.artifacts.split import read_split
from pipeline.config.outside_folders import list_outside
from pipeline.config.params import Params
from pipeline.config.read import load_params
from tests.support.image_files import tree
from tests.support.params import SMALL_FOLDERS
from tests.support.project import Project


@pytest.fixture
def project(project: Project) -> Project:
    project.set({**SMALL_FOLDERS, "train.epochs": 1, "train.warmup_epochs": 0})
    return project


def add_folders(names: str) -> None:
    for name in names.split():
        tree(Path("stream") / name, {"cat": 10, "dog": 10})


def cut(project: Project) -> None:
    project.must("plan")
    project.must("prepare")


def read_params() -> Params:
    return load_params(Path("params.yaml"))


@pytest.mark.parametrize("num_tasks", [2, None])
def test_folders_added_one_after_another_are_all_tasks(
    project: Project, num_tasks: int | None
) -> None:
    add_folders("t1 t2")
    project.set({"num_tasks": num_tasks})
    cut(project)
    for name in ("t3", "t4"):
        add_folders(name)
        said = project.must("add-task", f"stream/{name}")
        assert f"task {name[1]} ({name})" in said
    assert "tasks 3 to 4 train: those before it were not cut yet" in said
    assert read_params().data.folders is None
    assert read_params().num_tasks == (num_tasks and 4)


def test_a_folder_that_was_added_stays_where_the_next_one_sorts_before_it(
    project: Project,
) -> None:
    add_folders("t1 t3")
    project.set({"num_tasks": 2})
    cut(project)
    for name in ("t4", "t2", "t0"):
        add_folders(name)
        project.must("add-task", f"stream/{name}")
    assert read_params().data.folders == ["t1", "t3", "t4", "t2", "t0"]
    assert read_params().num_tasks == 5


def test_a_folder_that_params_do_not_count_yet_is_no_task_by_another_ones_coming(
    project: Project,
) -> None:
    add_folders("b c")
    project.set({"num_tasks": 2})
    cut(project)
    add_folders("a d")
    project.must("add-task", "stream/d")
    assert read_params().data.folders == ["b", "c", "d"]


def cut_classes(project: Project, **params: object) -> None:
    tree(Path("stream"), dict.fromkeys("abcd", 10))
    project.set(
        {"scenario": "class", "num_tasks": 2, "class_order": [["a", "b"], ["c", "d"]], **params}
    )
    cut(project)


def test_lists_of_classes_that_were_changed_since_the_cut_stay(project: Project) -> None:
    cut_classes(project)
    tree(Path("stream"), {"g": 10})
    project.set({"class_order": [["d"], ["a", "b", "c"]]})
    said = project.must("add-task", "stream/g")
    assert read_params().class_order == [["d"], ["a", "b", "c"], ["g"]]
    assert "tasks 1 to 3 train: the params cut task 1 in another way" in said


def test_lists_of_classes_behind_the_tasks_stay(project: Project) -> None:
    cut_classes(project)
    tree(Path("stream"), dict.fromkeys("efg", 10))
    project.set({"class_order": [["a", "b"], ["c", "d"], ["e"], ["f"]]})
    said = project.must("add-task", "stream/g")
    assert read_params().class_order == [["a", "b"], ["c", "d"], ["g"], ["e"], ["f"]]
    assert read_params().num_tasks == 3
    assert "task 3 trains; no task before it does" in said
    refused = project.refuses("add-task", "stream/f")
    assert "'f' is in class_order already, as number 5; set num_tasks: 5 to learn it" in refused


@pytest.mark.parametrize("order", [None, ["a", "b", "c", "d"], [["a", "b"], ["c", "d"]]])
def test_classes_are_added_one_after_another(project: Project, order: object) -> None:
    cut_classes(project, class_order=order)
    for name in "fe":
        tree(Path("stream"), {name: 10})
        project.must("add-task", f"stream/{name}")
    found = read_params()
    assert found.num_tasks == 4
    assert found.class_order is not None
    assert [sorted(map(str, each)) for each in found.class_order[2:]] == [["f"], ["e"]]
    cut(project)


def test_classes_may_be_added_before_a_cut_where_lists_name_those_before(
    project: Project,
) -> None:
    tree(Path("stream"), dict.fromkeys("abcde", 10))
    project.set({"scenario": "class", "num_tasks": 2, "class_order": [["a", "b"], ["c", "d"]]})
    project.must("add-task", "stream/e")
    assert read_params().class_order == [["a", "b"], ["c", "d"], ["e"]]


def test_numbers_of_classes_become_names_as_long_as_they_mean_the_same(project: Project) -> None:
    cut_classes(project, class_order=[[0, 1], [2, 3]])
    tree(Path("stream"), {"Z": 10})
    shutil.copytree("stream/Z", "stream/A")
    refused = project.refuses("add-task", "stream/Z")
    assert "class_order numbers the classes of task 1, which are A, a by what is in" in refused
    assert "and were a, b when it was cut; write names in place of numbers" in refused
    shutil.rmtree("stream/A")
    project.must("add-task", "stream/Z")
    assert read_params().class_order == [["a", "b"], ["c", "d"], ["Z"]]


@pytest.mark.parametrize("scenario", ["class", "domain"])
def test_a_task_that_params_name_by_nothing_has_to_be_cut_first(
    project: Project, scenario: str
) -> None:
    if scenario == "class":
        cut_classes(project, class_order=None)
        tree(Path("stream"), {"x": 10})
    else:
        add_folders("x y z")
        project.set({"scenario": "domain", "num_tasks": 2})
        cut(project)
    project.set({"num_tasks": 3})
    refused = project.refuses("add-task", "stream/x")
    assert "run `cassle plan` and `cassle prepare` first" in refused


def test_fewer_lists_of_classes_than_tasks_are_said(project: Project) -> None:
    cut_classes(project)
    tree(Path("stream"), {"e": 10})
    project.set({"num_tasks": 3})
    refused = project.refuses("add-task", "stream/e")
    assert "class_order has 2 lists, and num_tasks is 3; give a list for each task" in refused


def test_a_folder_without_an_image_is_not_called_missing(project: Project) -> None:
    add_folders("a b c")
    Path("stream/c/cat").rename("elsewhere")
    shutil.rmtree("stream/c/dog")
    project.set({"data.folders": ["a", "b", "c"]})
    project.must("plan")
    refused = project.refuses("prepare")
    assert "task 3: the folder 'c' in stream holds no JPEG, PNG, WebP, BMP or TIFF image" in refused
    assert "put some into it, or remove it, and its name where data.folders lists it" in refused
    assert "missing" not in refused
    Path("stream/c").rmdir()
    assert "the folder 'c' is missing in stream" in project.refuses("prepare")


@pytest.mark.parametrize("scenario", ["class", "domain", "folders"])
def test_a_folder_without_an_image_is_no_next_task(project: Project, scenario: str) -> None:
    if scenario == "class":
        cut_classes(project)
    else:
        add_folders("a b")
        project.set({"scenario": scenario, "num_tasks": 2})
        cut(project)
    Path("stream/x/cat").mkdir(parents=True)
    Path("stream/x/notes.txt").touch()
    refused = project.refuses("add-task", "stream/x")
    assert "stream/x holds no JPEG, PNG, WebP, BMP or TIFF image yet; put some into it" in refused


NAMES = [unicodedata.normalize(form, "caf\u00e9") for form in ("NFC", "NFD")]


@pytest.mark.parametrize(("named", "there"), [NAMES, NAMES[::-1]])
def test_a_folder_is_found_by_its_name_in_another_unicode_form(
    project: Project, named: str, there: str
) -> None:
    add_folders(f"{there} b ../elsewhere/{there}")
    project.set({"data.folders": [named, f"../elsewhere/{named}"]})
    cut(project)
    assert [read_split(task).domain for task in (1, 2)] == [there, f"../elsewhere/{there}"]
    assert list_outside(read_params()) == [f"elsewhere/{there}"]
    refused = project.refuses("add-task", f"stream/{named}")
    assert f"'{there}' is in the stream already, as number 1" in refused
    project.must("add-task", "stream/b")
    cut(project)
    project.set({"data.folders": [named, there]})
    assert f"data.folders: '{there}' is there twice" in project.refuses("plan")


def test_a_folder_whose_name_changes_its_unicode_form_stays_one_task(project: Project) -> None:
    add_folders(f"{NAMES[1]} b")
    cut(project)
    layout.state(2).parent.mkdir(parents=True, exist_ok=True)
    layout.state(2).write_bytes(bytes(100))  # as if it was learnt
    Path("stream", NAMES[1]).rename(Path("stream", NAMES[0]))
    cut(project)
    assert [read_split(task).domain for task in (1, 2)] == ["b", NAMES[0]]
    project.make_repository()
    assert "params: simclr with cassle, 2 tasks" in project.must("check")


def test_a_folder_that_went_is_known_by_its_name_in_another_unicode_form(
    project: Project,
) -> None:
    add_folders(f"a {NAMES[1]}")
    project.set({"data.folders": ["a", NAMES[0]]})
    cut(project)
    shutil.rmtree(Path("stream", NAMES[1]))
    add_folders("c")
    project.set({"data.folders": ["a", NAMES[0], "c"]})
    cut(project)
    assert read_split(2).domain == NAMES[1]


ANOTHER_WAY = "the params cut the stream in another way than before: its tasks train again"


@pytest.mark.parametrize("order", [None, ["d", "a", "c", "b"]])
def test_check_says_of_an_added_class_what_add_task_says(project: Project, order: object) -> None:
    cut_classes(project, class_order=order)
    project.make_repository()
    tree(Path("stream"), {"x": 10})
    assert "task 3 trains; no task before it does" in project.must("add-task", "stream/x")
    before = [Path(f"data/splits/task_{task}.json").read_bytes() for task in (1, 2)]
    said = project.must("check")
    assert "task 3: new; no task before it trains again" in said
    assert ANOTHER_WAY not in said
    cut(project)
    assert [Path(f"data/splits/task_{task}.json").read_bytes() for task in (1, 2)] == before
    assert ANOTHER_WAY not in project.must("check")


def test_check_says_where_params_cut_a_stream_in_another_way(project: Project) -> None:
    cut_classes(project, class_order=None)
    project.make_repository()
    first = [*read_split(1).class_names]
    second = [*read_split(2).class_names]
    for change, other in (
        ({"class_order": [*first, *second]}, False),
        ({"class_order": [first, second]}, False),
        ({"split_seed": 77}, False),
        ({"class_order": [second, first]}, True),
        ({"class_order": [first, second], "data.holdout": 0.5}, True),
    ):
        project.set(change)
        assert (ANOTHER_WAY in project.must("check")) is other, change


def test_check_compares_random_parts_by_the_seed_that_dealt_them(project: Project) -> None:
    tree(Path("stream"), dict.fromkeys("ab", 20))
    project.set({"scenario": "data", "num_tasks": 2})
    cut(project)
    project.make_repository()
    assert ANOTHER_WAY not in project.must("check")
    project.set({"split_seed": 77})
    assert ANOTHER_WAY in project.must("check")
