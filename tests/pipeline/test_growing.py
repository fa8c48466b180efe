"""A stream that grows: what is new becomes the next task, and nothing before it changes."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from pipeline import layout
from pipeline.artifacts.split import read_split, split_digest
from pipeline.commands import add_task
from pipeline.config.read import load_params
from pipeline.data.stream.folders import natural_key
from pipeline.evaluation.knn import KNearestNeighbours
from pipeline.files.sealed_json import file_digest
from tests.support.image_files import save, tree
from tests.support.params import SMALL_FOLDERS, Changes
from tests.support.project import Project, _few_images, make_data

CLASSES = ("cat", "dog")
FOLDERS: Changes = {**SMALL_FOLDERS, "train.epochs": 1, "train.warmup_epochs": 0}


@pytest.fixture
def project(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.delenv("DVC_ROOT", raising=False)
    project.set(FOLDERS)
    return project


def add_folder(project: Project, name: str, classes: tuple[str, ...] = CLASSES) -> Path:
    folder = project.root / "stream" / name
    tree(folder, dict.fromkeys(classes, 10) if classes else {".": 10})
    # Else folders would hold the same images.
    save(folder / (classes[0] if classes else "") / "own.png", colored(name))
    return folder


def colored(name: str) -> np.ndarray:
    """An image of one colour, by a name."""
    return np.full((16, 16, 3), sum(name.encode()) % 256, np.uint8)


def digests(last: int) -> dict[str, str]:
    """What tasks up to ``last`` have made."""
    splits = [layout.split(task) for task in range(1, last + 1)]
    states = [layout.state(task) for task in range(last + 1)]
    plans = [layout.plan(f"train_{task}") for task in range(1, last + 1)]
    return {str(path): file_digest(path) for path in [*splits, *states, *plans]}


def grow(project: Project, task: int) -> str:
    """Run what a new task needs, and no more; return what evaluation said."""
    project.must("plan")
    project.must("prepare")
    project.must("train", str(task))
    project.must("evaluate")
    project.must("report")
    return Path("reports/accuracy_matrix.csv").read_text()


def learnt(project: Project, names: str) -> None:
    for name in names:
        add_folder(project, name)
    project.run_all(len(names))


def matrix() -> dict[tuple[int, int], float]:
    lines = Path("reports/accuracy_matrix.csv").read_text().splitlines()[1:]
    cells = [line.split(",") for line in lines]
    return {(int(after), int(task)): float(value) for after, task, value in cells}


def test_a_folder_that_arrives_is_the_next_task_and_no_other_trains(project: Project) -> None:
    learnt(project, "abc")
    before = digests(3)
    add_folder(project, "d")
    grow(project, 4)
    assert digests(3) == before
    grown = {
        path: file_digest(Path(path))
        for path in (str(layout.state(4)), "data/features.safetensors")
    }
    rows = json.loads(layout.EVALUATIONS.read_text())["rows"]
    # What a state is asked about ends with the next task, so that it stays as it is.
    assert {task for after, task in matrix() if after == 1} == {1, 2}
    assert {task for after, task in matrix() if after in (0, 3, 4)} == {1, 2, 3, 4}
    # Learnt in one go on a machine that has seen nothing of it, everything is the same.
    for folder in ("data/states", "data/splits", "data/plan", "data/logs", ".scratch"):
        shutil.rmtree(folder)
    layout.EVALUATIONS.unlink()
    layout.FEATURES.unlink()
    project.run_all(4)
    assert digests(3) == before
    assert {path: file_digest(Path(path)) for path in grown} == grown
    assert json.loads(layout.EVALUATIONS.read_text())["rows"] == rows


def test_a_growth_fits_no_classifier_of_one_folder_again(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    learnt(project, "abc")
    add_folder(project, "d")
    for stage in (("plan",), ("prepare",), ("train", "4")):
        project.must(*stage)
    fitted: list[int] = []
    scores = KNearestNeighbours.scores

    def counted(probe: KNearestNeighbours, train: Tensor, *rest: Any) -> Tensor:
        fitted.append(len(train))
        return scores(probe, train, *rest)

    monkeypatch.setattr(KNearestNeighbours, "scores", counted)
    project.must("evaluate")
    # Of the random network and of the state before one folder is new, of the new state all four.
    # Consolidation asks of each of the three states which of all folders an image is of.
    one = len(read_split(4).train)
    assert [fitted.count(4 * one), fitted.count(one)] == [3 + 3, 1 + 1 + 4]
    assert len(fitted) == 12


def test_the_images_of_earlier_tasks_may_go(project: Project) -> None:
    learnt(project, "abc")
    before, measured = digests(3), matrix()
    for name in "ab":
        shutil.rmtree(project.root / "stream" / name)
    add_folder(project, "d")
    said = check(project)
    assert said.count("its images are gone; what was learnt and measured stays") == 2
    assert "task 4 (d): new; no task before it trains again" in said
    grow(project, 4)
    assert digests(3) == before
    now = matrix()
    assert {cell: now[cell] for cell in measured if cell[0] in (1, 2)} == {
        cell: value for cell, value in measured.items() if cell[0] in (1, 2)
    }
    assert {task for after, task in now if after == 4} == {3, 4}
    report = Path("reports/report.md").read_text()
    assert "| 1 · a † |" in report
    assert "the images of this task are no longer here" in report
    assert json.loads(Path("reports/metrics.json").read_text())["average_accuracy"] == (
        pytest.approx((now[4, 3] + now[4, 4]) / 2, abs=1e-4)
    )


def test_what_was_measured_stays_also_without_kept_features(project: Project) -> None:
    learnt(project, "abc")
    measured = matrix()
    shutil.rmtree(layout.SCRATCH)
    shutil.rmtree(project.root / "stream" / "a")
    add_folder(project, "d")
    grow(project, 4)
    now = matrix()
    for cell in [(1, 1), (1, 2), (2, 1), (2, 2), (2, 3), (0, 1), (3, 1)]:
        assert now[cell] == measured[cell], cell
    assert (4, 1) not in now


def test_a_state_stays_as_measured_when_all_its_images_are_gone(project: Project) -> None:
    learnt(project, "abc")
    measured = matrix()
    shutil.rmtree(layout.SCRATCH)
    for name in "ab":
        shutil.rmtree(project.root / "stream" / name)
    project.set({"linear_eval.epochs": 4})  # so that all states are evaluated again
    for stage in ("plan", "prepare", "evaluate", "report"):
        project.must(stage)
    now = matrix()
    assert {cell: now[cell] for cell in now if cell[0] == 1} == {
        cell: measured[cell] for cell in measured if cell[0] == 1
    }
    assert {task for after, task in now if after == 3} == {1, 2, 3}


def check(project: Project) -> str:
    project.make_repository()
    return project.must("check")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folder: next(folder.glob("cat/*.jpg")).unlink(), "0 images came and 1 went"),
        (
            lambda folder: save(folder / "dog/new.png", colored("new")),
            "1 images came and 0 went",
        ),
        (
            lambda folder: save(folder / "cat/own.png", colored("other")),
            "images were replaced",
        ),
    ],
)
def test_a_changed_task_is_told_beforehand_and_trains_again_with_those_after_it(
    project: Project, change: Callable[[Path], object], said: str
) -> None:
    learnt(project, "abc")
    before = digests(3)
    change(project.root / "stream/b")
    told = check(project)
    assert f"task 2 (b): {said} since it was cut, so tasks 2 to 3 train again" in told
    assert "to keep what was learnt, undo that" in told
    project.must("plan")
    project.must("prepare")
    now = digests(3)
    assert [path for path in before if now[path] != before[path]] == ["data/splits/task_2.json"]
    code, _, err = project.cassle("train", "3")
    assert code == 2
    assert "data/states/task_2.safetensors has another split than the plan" in err


def test_a_folder_without_labels_is_learnt_and_not_tested(project: Project) -> None:
    learnt(project, "ab")
    before = digests(2)
    add_folder(project, "c", classes=())
    grow(project, 3)
    assert digests(2) == before
    assert read_split(3).test == ()
    assert len(read_split(3).train) == 11
    assert {task for _, task in matrix()} == {1, 2}
    assert "The images of task 3 (c) have no labels." in Path("reports/report.md").read_text()


def test_a_new_class_makes_all_states_know_it(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    learnt(project, "ab")
    before = digests(2)
    add_folder(project, "c", classes=("cat", "eel"))
    for stage in (("plan",), ("prepare",), ("train", "3")):
        project.must(*stage)
    caplog.set_level("INFO")
    project.must("evaluate")
    assert "state 1 is evaluated again: its classifiers have to know eel too" in caplog.text
    assert digests(2) == before
    project.must("report")
    # Each state is asked about the task that brings the class.
    assert {task for after, task in matrix() if after == 1} == {1, 2, 3}
    rows = json.loads(layout.EVALUATIONS.read_text())["rows"]
    assert {tuple(row["class_names"]) for row in rows} == {("cat", "dog", "eel")}
    assert "fewer classes" not in Path("reports/report.md").read_text()


def test_folders_come_in_natural_order_or_as_listed(project: Project) -> None:
    for name in ("year 10", "year 9", "year 11"):
        add_folder(project, name)
    project.must("plan")
    project.must("prepare")
    assert [read_split(task).domain for task in (1, 2, 3)] == ["year 9", "year 10", "year 11"]
    outside = project.root / "elsewhere/first"
    tree(outside, {"cat": 10, "dog": 10})
    project.set({"data.folders": ["../elsewhere/first", "year 10"]})
    project.must("plan")
    project.must("prepare")
    assert [read_split(task).domain for task in (1, 2)] == ["../elsewhere/first", "year 10"]
    project.train_through(2)


def test_add_task_appends_in_the_params_file_and_keeps_its_comments(project: Project) -> None:
    learnt(project, "bc")
    params = project.root / layout.PARAMS
    params.write_text("# mine\n" + params.read_text())
    # It sorts before the others, and is the next task all the same.
    folder = add_folder(project, "a")
    before = params.read_text()
    said = project.must("add-task", str(folder.relative_to(project.root)), "--dry-run")
    assert "task 3 (a): 17 training, 4 test images, 2 classes" in said
    assert "task 3 trains; no task before it does" in said
    assert "the last tasks took" in said
    assert params.read_text() == before
    project.must("add-task", "stream/a")
    assert params.read_text().startswith("# mine\n")
    made = digests(2)
    grow(project, 3)
    assert digests(2) == made
    assert [read_split(task).domain for task in (1, 2, 3)] == ["b", "c", "a"]


def test_add_task_refuses_what_is_no_new_task(project: Project) -> None:
    for name in "ab":
        add_folder(project, name)
    project.must("plan")
    project.must("prepare")
    assert "'b' is in the stream already, as number 2" in project.refuses("add-task", "stream/b")
    assert "is no folder" in project.refuses("add-task", "stream/nowhere")
    tree(project.root / "stream/few", {"cat": 2, "dog": 2})
    assert "fewer than train.batch_size (8)" in project.refuses("add-task", "stream/few")
    (project.root / "stream/odd\udcff").mkdir()
    said = project.refuses("add-task", "stream/odd\udcff")
    assert said.startswith("error: the folder 'stream/odd\\udcff' cannot stand in params.yaml")
    project.set({"scenario": "data", "num_tasks": 2})
    assert "raise num_tasks" in project.refuses("add-task", "stream/few")


def test_a_linked_folder_is_appended_by_its_name_in_the_root(project: Project) -> None:
    learnt(project, "ab")
    tree(project.root / "elsewhere/photos", {"cat": 10, "dog": 10})
    (project.root / "stream/c").symlink_to(project.root / "elsewhere/photos")
    project.must("add-task", "stream/c")
    project.must("plan")
    project.must("prepare")
    assert read_split(3).domain == "c"
    (project.root / "stream/z").symlink_to("a")
    assert "'z' is the folder of 'a', which is in the stream already" in project.refuses(
        "add-task", "stream/z"
    )


def test_a_growth_that_was_stopped_after_it_counted_a_folder_goes_on(project: Project) -> None:
    learnt(project, "ab")
    project.set({"num_tasks": 3})
    add_folder(project, "c")
    project.must("add-task", "stream/c")
    assert load_params(Path("params.yaml")).num_tasks == 3


def test_params_that_somebody_changes_meanwhile_are_left_so(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    learnt(project, "ab")
    project.set({"data.folders": ["a", "b"]})
    add_folder(project, "c")
    path, append = project.root / "params.yaml", add_task.append_folder

    def append_slowly(*arguments: Any) -> add_task.Addition:
        added = append(*arguments)
        path.write_text(path.read_text() + "# another's\n")
        return added

    monkeypatch.setattr(add_task, "append_folder", append_slowly)
    before = path.read_text()
    code, _, err = project.cassle("add-task", "stream/c")
    assert (code, "was changed by somebody else in the meantime" in err) == (2, True)
    assert path.read_text() == before + "# another's\n"


def test_a_folder_that_cannot_be_a_task_keeps_no_other_from_being_learnt(
    project: Project, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    learnt(project, "ab")
    run = subprocess.run

    def repro(command: list[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
        if command[1:] != ["-m", "dvc", "repro"]:
            return run(command, **options)
        project.run_all(len(load_params(Path("params.yaml")).data.folders or "ab"))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", repro)
    assert project.cassle("grow")[0] == 3
    tree(project.root / "stream/few", {"cat": 2, "dog": 2})
    for _ in range(2):
        code, _, said = project.cassle("grow")
        assert code == 2
        assert "left out, as said above: stream/few; the next growth looks there again" in said
        assert caplog.messages[-1].startswith(
            "left out: stream/few has 2 training images, fewer than train.batch_size (8); wait for"
        )
        assert load_params(Path("params.yaml")).data.folders == ["a", "b"]
    before = digests(2)
    add_folder(project, "late")
    code, _, said = project.cassle("grow")
    assert (code, "left out, as said above: stream/few" in said) == (2, True)
    assert [read_split(task).domain for task in (1, 2, 3)] == ["a", "b", "late"]
    assert (3, 3) in matrix()
    tree(project.root / "stream/few", {"cat": 10, "dog": 10})
    assert project.cassle("grow")[0] == 0
    assert read_split(4).domain == "few"
    assert digests(2) == before


def test_what_is_wrong_with_the_stream_is_no_fault_of_a_new_folder(project: Project) -> None:
    learnt(project, "ab")
    for path in (project.root / "stream/a/cat").iterdir():
        path.unlink()
    add_folder(project, "c")
    before = Path("params.yaml").read_text()
    code, _, said = project.cassle("grow")
    assert (code, "cat is a class folder without" in said) == (2, True)
    assert "left out" not in said
    assert Path("params.yaml").read_text() == before


def test_a_class_that_comes_later_is_the_next_task(project: Project) -> None:
    tree(project.root / "stream", {"cat": 10, "dog": 10, "eel": 10, "fox": 10})
    project.set({"scenario": "class", "num_tasks": 2})
    project.run_all(2)
    before = digests(2)
    tree(project.root / "stream", {"ape": 10})
    assert "trains" in project.must("add-task", "stream/ape")
    # Both tasks' classes are named now, so that the new one cannot move them.
    grow(project, 3)
    assert digests(2) == before
    assert read_split(3).class_names == ("ape",)
    assert {task for after, task in matrix() if after == 1} == {1, 2, 3}


def test_a_domain_that_comes_later_is_the_next_task(project: Project) -> None:
    for name in ("ink", "oil"):
        add_folder(project, name)
    project.set({"scenario": "domain", "num_tasks": 2})
    project.run_all(2)
    before = digests(2)
    add_folder(project, "chalk")
    project.must("add-task", "stream/chalk")
    grow(project, 3)
    assert digests(2) == before
    assert read_split(3).domain == "chalk"


@pytest.mark.parametrize("scenario", ["class", "domain"])
def test_the_images_of_earlier_classes_and_domains_may_go(project: Project, scenario: str) -> None:
    if scenario == "class":
        tree(project.root / "stream", {"cat": 10, "dog": 10, "eel": 10, "fox": 10})
        project.set(
            {"scenario": "class", "num_tasks": 2, "class_order": [["fox", "cat"], ["dog", "eel"]]}
        )
    else:
        for name in ("ink", "oil"):
            add_folder(project, name)
        project.set({"scenario": "domain", "num_tasks": 2, "data.domains": ["oil", "ink"]})
    project.run_all(2)
    before, measured = digests(2), matrix()
    for name in ("fox", "cat") if scenario == "class" else ("oil",):
        shutil.rmtree(project.root / "stream" / name)
    if scenario == "class":
        tree(project.root / "stream", {"ape": 10})
        project.must("add-task", "stream/ape")
    else:
        add_folder(project, "chalk")
        project.must("add-task", "stream/chalk")
    assert "task 1" in check(project)
    grow(project, 3)
    assert digests(2) == before
    assert {task for after, task in matrix() if after == 3} == {2, 3}
    assert matrix()[1, 1] == measured[1, 1]


def test_classes_that_are_gone_have_to_be_named(project: Project) -> None:
    tree(project.root / "stream", {"cat": 10, "dog": 10, "eel": 10, "fox": 10})
    project.set({"scenario": "class", "num_tasks": 2})
    project.train_through(2)
    for name in read_split(1).class_names:
        shutil.rmtree(project.root / "stream" / name)
    code, _, err = project.cassle("prepare")
    assert code == 2
    assert "the images of task 1" in err
    assert "class_order, one list a task, does not name it in its place" in err


def test_a_domain_of_the_embedded_images_can_be_appended(project: Project) -> None:
    project.set(
        {
            "dataset": "fashion_mnist",
            "data.root": "data/fashion_mnist",
            "data.image_size": None,
            "scenario": "domain",
            "data.domains": ["plain", "rotated"],
        }
    )
    project.run_all(2)
    before = digests(2)
    project.set({"data.domains": ["plain", "rotated", "blurred"]})
    grow(project, 3)
    assert digests(2) == before


def test_new_images_are_the_next_random_part(project: Project) -> None:
    tree(project.root / "stream", {".": 30})
    tree(project.root / "labelled", {"cat": 8, "dog": 8})
    project.set({"scenario": "data", "num_tasks": 2, "data.labelled_root": "labelled"})
    project.run_all(2)
    before = digests(2)
    new = [save(project.root / f"stream/new_{n}.png", colored(str(n))).name for n in range(12)]
    project.set({"num_tasks": 3})
    grow(project, 3)
    assert digests(2) == before
    part = read_split(3)
    assert set(part.train) == set(new)
    held = {key for task in (1, 2) for key in read_split(task).train}
    assert not held & set(part.test)
    # And again, as DVC does when the code of the stage has changed.
    made = split_digest(part)
    project.must("prepare")
    assert split_digest(read_split(3)) == made


@pytest.mark.parametrize("strategy", ["finetune", "cassle", "ewc", "er"])
def test_a_strategy_needs_the_images_of_the_task_before_only_if_it_reads_them(
    project: Project, strategy: str
) -> None:
    project.set({"strategy": strategy})
    for name in "ab":
        add_folder(project, name)
    project.train_through(1)
    shutil.rmtree(project.root / "stream/a")
    needs = strategy in ("ewc", "er")
    code, _, err = project.cassle("train", "2")
    assert code == (2 if needs else 0)
    if needs:
        assert f"strategy {strategy} looks back at the images of task 1 when task 2 begins" in err
        assert "bring them back" in err
        assert not layout.state(2).exists()


def test_a_folder_that_is_listed_and_was_never_cut_is_missed(project: Project) -> None:
    add_folder(project, "a")
    project.set({"data.folders": ["a", "b"]})
    project.must("plan")
    code, _, err = project.cassle("prepare")
    assert code == 2
    assert "task 2: the folder 'b' is missing in stream" in err


def test_more_tasks_than_folders_are_refused(project: Project) -> None:
    add_folder(project, "a")
    project.set({"num_tasks": 2})
    assert "num_tasks must be at most 1, the folders of stream" in project.refuses("plan")


def test_all_tasks_that_are_there_are_only_taken_where_they_can_be_counted(
    project: Project,
) -> None:
    project.set({"scenario": "class"})
    assert "scenario: class needs a number" in project.refuses("plan")
    project.set({"scenario": "domain"})
    assert "num_tasks: null takes all domains that data.domains names" in project.refuses("plan")
    project.set({"scenario": "folders", "dataset": "domainnet"})
    assert "dataset must be image_folder" in project.refuses("plan")


def test_splits_of_another_root_are_no_tasks_of_this_stream(project: Project) -> None:
    learnt(project, "abc")
    for name in ("bb", "x"):
        tree(project.root / "other" / name, {"cat": 10, "dog": 10})
    project.set({"data.root": "other"})
    project.must("plan")
    project.must("prepare")
    assert [read_split(task).domain for task in (1, 2)] == ["bb", "x"]
    assert "since it was cut" not in check(project)
    project.set({"data.root": "data/fashion_mnist", "dataset": "fashion_mnist"})
    project.set({"scenario": "class", "num_tasks": 3, "data.image_size": None})
    assert "data: 160 training" in check(project)


def test_folders_may_be_spelt_in_several_ways_and_come_once(project: Project) -> None:
    for name in "abc":
        add_folder(project, name)
    project.set({"data.folders": ["./a", "b/", str(project.root / "stream/c")]})
    project.must("plan")
    project.must("prepare")
    assert [read_split(task).domain for task in (1, 2, 3)] == ["a", "b", "c"]
    assert "'a' is in the stream already" in project.refuses("add-task", "stream/a/")
    project.set({"data.folders": ["a", "a/"]})
    assert "data.folders: 'a' is there twice" in project.refuses("plan")
    project.set({"data.folders": ["a", "a/cat"]})
    assert "data.folders: 'a/cat' is in 'a'" in project.refuses("plan")
    project.set({"data.folders": ["..", "a"]})
    assert "data.folders: 'a' is in '" in project.refuses("plan")


def test_a_folder_without_images_left_is_gone(project: Project) -> None:
    learnt(project, "ab")
    before = digests(2)
    for path in (project.root / "stream/a").rglob("*.*"):
        path.unlink()
    add_folder(project, "c")
    grow(project, 3)
    assert digests(2) == before


def test_images_that_come_back_are_measured(project: Project) -> None:
    learnt(project, "ab")
    shutil.move(project.root / "stream/a", project.root / "away")
    add_folder(project, "c")
    grow(project, 3)
    assert (3, 1) not in matrix()
    shutil.move(project.root / "away", project.root / "stream/a")
    for stage in ("plan", "prepare", "evaluate", "report"):
        project.must(stage)
    assert (3, 1) in matrix()
    assert "†" not in Path("reports/report.md").read_text()


def test_evaluating_one_state_loses_nothing_of_images_that_are_gone(project: Project) -> None:
    learnt(project, "abc")
    measured = matrix()
    shutil.rmtree(layout.SCRATCH)
    shutil.rmtree(project.root / "stream/a")
    project.set({"linear_eval.epochs": 4})
    for stage in (("plan",), ("prepare",), ("evaluate", "3"), ("evaluate",), ("report",)):
        project.must(*stage)
    assert {cell: matrix()[cell] for cell in measured if cell[1] == 1} == {
        cell: value for cell, value in measured.items() if cell[1] == 1
    }


def test_a_stream_goes_on_where_all_labelled_images_are_gone(project: Project) -> None:
    learnt(project, "ab")
    for name in "ab":
        shutil.rmtree(project.root / "stream" / name)
    add_folder(project, "c", classes=())
    shutil.rmtree(layout.SCRATCH)
    grow(project, 3)
    assert {after for after, _ in matrix()} == {0, 1, 2}
    assert json.loads(Path("reports/metrics.json").read_text())["average_accuracy"] is None


def test_random_parts_of_classes_stay_where_more_are_held_out(project: Project) -> None:
    tree(project.root / "stream", {"cat": 40, "dog": 40, "eel": 40})
    project.set({"scenario": "data", "num_tasks": 2})
    project.must("plan")
    project.must("prepare")
    before = [split_digest(read_split(task)) for task in (1, 2)]
    for kind in ("cat", "dog", "eel"):
        for number in range(10):
            save(project.root / f"stream/{kind}/new_{number}.png", colored(f"{kind}{number}"))
    (project.root / "stream/cat/broken.png").write_text("no image")
    project.set({"num_tasks": 3, "data.on_bad_image": "skip"})
    for _ in range(2):
        project.must("plan")
        project.must("prepare")
        assert [split_digest(read_split(task)) for task in (1, 2)] == before
        assert all("new_" in str(key) for key in read_split(3).train)


def test_all_tasks_at_once_train_again_when_one_of_them_changes(project: Project) -> None:
    for name in "ab":
        add_folder(project, name)
    project.set({"strategy": "offline"})
    project.must("plan")
    project.must("prepare")
    before = split_digest(read_split(1))
    save(project.root / "stream/b/cat/own.png", colored("other"))
    project.must("prepare")
    assert split_digest(read_split(1)) != before


def test_another_labelled_folder_is_evaluated_anew(project: Project) -> None:
    tree(project.root / "stream", {".": 30})
    tree(project.root / "labelled", {"cat": 8, "dog": 8})
    project.set({"scenario": "data", "num_tasks": 2, "data.labelled_root": "labelled"})
    project.run_all(2)
    before = json.loads(layout.EVALUATIONS.read_text())["rows"]
    tree(project.root / "labelled", {"eel": 8})
    project.must("evaluate")
    after = json.loads(layout.EVALUATIONS.read_text())["rows"]
    assert before[0]["class_names"] == ["cat", "dog"]
    assert {tuple(row["class_names"]) for row in after} == {("cat", "dog", "eel")}


def test_a_smaller_data_set_is_cut_anew(project: Project) -> None:
    project.set(
        {
            "dataset": "fashion_mnist",
            "data.root": "data/fashion_mnist",
            "data.image_size": None,
            "scenario": "data",
            "num_tasks": 2,
        }
    )
    project.must("plan")
    project.must("prepare")
    shutil.rmtree(project.root / "data/fashion_mnist")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.support.project.PER_CLASS", {"train": 10, "t10k": 3})
        _few_images.cache_clear()
        make_data(project.root / "data/fashion_mnist")
    _few_images.cache_clear()
    project.must("prepare")
    assert len(read_split(1).train) == 50


def test_names_that_count_alike_keep_one_order() -> None:
    assert sorted(["a01", "a1", "²", "a001"], key=lambda name: (natural_key(name), name)) == [
        "a001", "a01", "a1", "²"
    ]  # fmt: skip
