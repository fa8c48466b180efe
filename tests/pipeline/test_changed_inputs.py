"""Nothing changes under a running stage: what it was made from is what it says."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import layout
from pipeline.config.fingerprint import forget_sources
from pipeline.data.image_files.store import ImageFiles
from pipeline.stages import evaluate_states, plan, prepare
from tests.support.image_files import tree
from tests.support.interruption import at_step, checkpoints
from tests.support.params import SMALL_FOLDERS
from tests.support.project import Project

# A file that the stage uses, and what says that it was changed.
STAGES = {
    "prepare": "data/stream/tasks.py",
    "init": "models/small_resnet.py",
    "train 1": "methods/simclr.py",
    "evaluate": "evaluation/linear.py",
    "report": "reporting/tables.py",
}


def add(path: Path, text: str = "\nEXTRA = 1\n") -> None:
    with path.open("a") as file:
        file.write(text)
    forget_sources()  # as another process does, which begins after it


def after(
    monkeypatch: pytest.MonkeyPatch, place: object, name: str, act: Callable[[], object]
) -> None:
    """Do something once a function has returned, the first time."""
    original, waiting = getattr(place, name), [act]

    def then(*given: object, **named: object) -> object:
        found = original(*given, **named)
        if waiting:
            waiting.pop()()
        return found

    monkeypatch.setattr(place, name, then)


@pytest.mark.parametrize("planned", [True, False], ids=["planned", ""])
@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_does_not_run_with_other_code_than_the_planned(
    stage: str, planned: bool, project: Project, package: Path
) -> None:
    project.set({"num_tasks": 2})
    project.finished(2)
    command = [*stage.split(), *(["--planned"] if planned else [])]
    add(package / STAGES[stage])
    message = project.refuses(*command)
    assert message.endswith("run `cassle plan`, then `dvc repro` (or the stages in order)")
    if planned:
        assert (
            f"the code that {stage} uses is not what it was when data/plan was written" in message
        )
    add(package / "methods/byol.py")
    project.must("plan")
    assert project.cassle("init", "--planned")[0] == 0


def test_a_comment_and_code_of_others_stop_no_stage(project: Project, package: Path) -> None:
    project.trained(0)
    add(package / "methods/simclr.py", "\n# A comment.\n")
    add(package / "methods/byol.py")
    project.must("train", "1", "--planned")


def test_code_that_is_edited_in_training_stops_it_at_its_end_and_put_back_it_goes_on(
    project: Project, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.trained(1)
    whole = layout.state(1).read_bytes()
    for path in layout.train_outputs(1):
        path.unlink()
    monkeypatch.setenv("CASSLE_CHECKPOINT_SECONDS", "0")
    path = package / "methods/simclr.py"
    before = path.read_text()
    at_step(monkeypatch, 3, lambda: add(path))
    code, _, message = project.cassle("train", "1", "--planned")
    assert code == 2
    assert not layout.state(1).exists()
    assert (
        "the code that train 1 uses changed while it ran; put it back and run the same" in message
    )
    assert len(checkpoints()) == 1
    assert "uses is not what it was" in project.refuses("train", "1", "--planned")
    path.write_text(before)
    assert "task 1 goes on after step" in project.cassle("train", "1", "--planned")[2]
    assert layout.state(1).read_bytes() == whole


def of_another_seed(project: Project, path: Path) -> Path:
    """A copy of a file of a run with other seeds."""
    with pytest.MonkeyPatch.context() as patch:
        other = project.root / "other"
        shutil.copytree(project.root, other, ignore=shutil.ignore_patterns("other"))
        patch.chdir(other)
        there = Project.__new__(Project)
        there.__dict__ |= project.__dict__ | {"root": other}
        there.set({"seed": 5, "split_seed": 5})
        there.train_through(1)
    return other / path


@pytest.mark.parametrize(
    "path",
    [layout.plan("train_2"), layout.split(2), layout.state(1)],
    ids=lambda path: path.parent.name,
)
def test_a_file_that_is_replaced_in_training_stops_it(
    path: Path, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.trained(1)
    other, kept = of_another_seed(project, path), path.read_bytes()
    at_step(monkeypatch, 2, lambda: shutil.copy(other, path))
    code, _, err = project.cassle("train", "2")
    assert code == 2
    assert f"{path} changed while train 2 ran; run the same command again" in err
    assert not layout.state(2).exists()
    path.write_bytes(kept)
    project.must("train", "2")


def test_a_file_that_is_written_anew_with_the_same_bytes_stops_nothing(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.trained(1)
    content = layout.state(1).read_bytes()
    at_step(monkeypatch, 2, lambda: layout.state(1).write_bytes(content))
    project.must("train", "2")


def test_a_state_names_the_split_that_was_read(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A split that another process cuts meanwhile is not what the state has learnt."""
    project.trained(0)
    other = of_another_seed(project, layout.split(1))
    at_step(monkeypatch, 2, lambda: shutil.copy(other, layout.split(1)))
    assert "data/splits/task_1.json changed" in project.cassle("train", "1")[2]
    assert not layout.state(1).exists()


def test_params_that_are_edited_while_plan_runs_stop_it(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.must("plan")
    before = project.files()
    project.set({"seed": 3})
    after(monkeypatch, plan, "resolve", lambda: project.set({"seed": 4}))
    code, _, err = project.cassle("plan")
    assert code == 2
    assert "params.yaml changed while plan ran; run the same command again" in err
    project.set({"seed": 0})
    assert project.files() == before


def test_code_that_is_edited_while_plan_runs_stops_it(
    project: Project, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    after(
        monkeypatch, plan, "resolve", lambda: add(package / "methods/byol.py", "\n# A comment.\n")
    )
    assert "the code changed while plan ran" in project.refuses("plan")


def test_what_is_edited_just_after_plan_is_noticed_by_confirm(
    project: Project, package: Path
) -> None:
    project.must("plan")
    project.must("confirm")
    project.set({"seed": 3})
    assert "changed while plan wrote data/plan/" in project.refuses("confirm")
    project.must("plan")
    project.must("confirm")
    add(package / "methods/simclr.py")
    assert "changed while plan wrote data/plan/train_1.json" in project.refuses("confirm")


def test_an_image_that_is_replaced_while_prepare_runs_stops_it(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = project.root / "stream"
    for name in ("a", "b"):
        tree(folders / name, {"cat": 10, "dog": 10})
    project.set(SMALL_FOLDERS)
    project.must("plan")
    images = sorted(path for path in folders.rglob("*") if path.is_file())
    after(monkeypatch, prepare, "cut_stream", lambda: shutil.copy(images[0], images[-1]))
    code, _, err = project.cassle("prepare")
    assert code == 2
    assert "the images in stream changed while prepare ran; leave them alone and run the" in err
    assert not layout.split(1).exists()
    after(monkeypatch, prepare, "cut_stream", lambda: os.utime(images[0]))
    project.must("prepare")


def test_an_array_that_is_replaced_while_prepare_runs_stops_it(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.must("plan")
    root = project.root / "data/fashion_mnist"
    name = "labels-idx1-ubyte.gz"
    labels = (root / f"train-{name}").read_bytes()

    def replace() -> None:
        images = (root / "train-images-idx3-ubyte.gz").read_bytes()
        import gzip

        import numpy as np

        from tests.support.project import write_idx

        raw = np.frombuffer(gzip.decompress(images)[16:], np.uint8).reshape(-1, 28, 28)
        write_idx(root / "train-images-idx3-ubyte.gz", 255 - raw)

    after(monkeypatch, prepare, "cut_stream", replace)
    assert "the images in data/fashion_mnist changed while" in project.cassle("prepare")[2]
    assert not layout.split(1).exists()
    (root / f"train-{name}").write_bytes(labels)
    project.must("prepare")


def of_folders(project: Project) -> list[Path]:
    """Have a project of folders whose images are decoded at each read; return them."""
    folders = project.root / "stream"
    for name in ("a", "b"):
        tree(folders / name, {"cat": 10, "dog": 10})
    project.set({**SMALL_FOLDERS, "data.store": "stream"})
    project.train_through(0)
    return sorted(path for path in folders.rglob("*") if path.is_file())


def test_an_image_that_is_replaced_in_training_stops_it(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = of_folders(project)
    kept = images[0].read_bytes()
    at_step(monkeypatch, 0, lambda: shutil.copy(images[-1], images[0]))
    code, _, err = project.cassle("train", "1")
    assert code == 2
    assert "the train images of task 1 in stream changed while train 1 ran; put them back" in err
    assert not layout.state(1).exists()
    images[0].write_bytes(kept)
    project.must("train", "1")


def test_an_image_that_is_replaced_in_evaluation_leaves_no_features_and_no_row(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = of_folders(project)
    for task in (1, 2):
        project.must("train", str(task))
    after(monkeypatch, ImageFiles, "__getitem__", lambda: shutil.copy(images[-1], images[0]))
    code, _, err = project.cassle("evaluate")
    assert code == 2
    assert "changed while evaluate ran; put them back" in err
    assert not layout.EVALUATIONS.exists()
    assert not list(layout.EXTRACTED.glob("*"))
    assert not list(layout.ROWS.glob("*"))


def test_a_state_that_is_replaced_in_evaluation_stops_it(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.set({"num_tasks": 2})
    project.trained(2)
    other = of_another_seed(project, layout.state(1))
    after(
        monkeypatch,
        evaluate_states.StateEvaluator,
        "evaluate",
        lambda: shutil.copy(other, layout.state(1)),
    )
    assert (
        "data/states/task_1.safetensors changed while evaluate ran" in project.cassle("evaluate")[2]
    )
    assert not layout.EVALUATIONS.exists()


def test_the_checkpoint_stays_until_the_next_stage_has_begun(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DVC deletes a task's files and trains it again where its cache was full."""
    project.trained(0)
    monkeypatch.setenv("CASSLE_CHECKPOINT_SECONDS", "0")
    project.must("train", "1")
    whole = layout.state(1).read_bytes()
    assert len(checkpoints()) == 1
    for path in layout.train_outputs(1):
        path.unlink()
    assert "task 1 goes on after step 7 of 8" in project.cassle("train", "1")[2]
    assert layout.state(1).read_bytes() == whole
    project.must("train", "2")
    (second,) = checkpoints()
    assert second.parent.name.startswith("train_2-")
    project.must("train", "3")
    project.must("evaluate")
    assert checkpoints() == []


@pytest.mark.parametrize(
    "folder", [layout.SPLITS, layout.STATES, layout.LOGS, layout.REPORTS], ids=str
)
def test_a_folder_that_cannot_be_written_to_is_told_before_anything_is_planned(
    folder: Path, project: Project
) -> None:
    if folder.exists():
        folder.rename(folder.with_name("moved"))
    folder.symlink_to("/proc/self")  # where nobody can write, not even root
    assert f"cannot write to {folder} (" in project.refuses("plan")
