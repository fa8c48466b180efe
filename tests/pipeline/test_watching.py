"""What watches a training: with all of it, states and losses are the same bytes as without."""

from __future__ import annotations

import csv
import json
import logging
import shutil
import signal
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import cast

import pytest
from pytorch_lightning.loggers import CSVLogger

from pipeline import layout
from pipeline.config.registry.component import Component
from pipeline.config.registry.loggers import LOGGERS
from pipeline.training.loggers import guarded
from tests.support.image_files import tree
from tests.support.interruption import KilledError, at_step, kill, send
from tests.support.params import SMALL_FILES, SMALL_FOLDERS, Changes
from tests.support.project import Project

HERE = [name for name in ("tensorboard", "dvclive", "wandb") if find_spec(name)]
PROBES: Changes = {
    "evaluation.every": 1,
    "evaluation.while_training": ["knn", "nearest_mean"],
    "evaluation.while_training_cost": 0.3,
}
ALL: Changes = {"evaluation.while_training_cost": 1.0}  # where a task has ten images or so
STEPS = {1: 8, 2: 6}  # of the tasks of the small project


class FailsInTheMiddle(CSVLogger):
    """A logger that fails when the first epoch has ended."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        raise ConnectionError("gone")


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def losses(task: int) -> list[dict[str, str]]:
    """The training log without what probes have measured."""
    return [
        {name: value for name, value in row.items() if not name.startswith("probe_")}
        for row in rows_of(layout.log(task))
    ]


def passes(task: int) -> float:
    found: float = json.loads(layout.timing(task).read_text())["forward_passes"]
    return found


@pytest.fixture
def project(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    monkeypatch.setattr(guarded, "PATIENCE", 500.0)  # where tests share the machine
    return project


def test_with_all_that_watches_states_are_the_same_bytes_and_viewers_find_each_epoch(
    project: Project, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    project.trained(2)
    without = [(layout.state(task).read_bytes(), losses(task), passes(task)) for task in (1, 2)]
    broken = Component(f"{__name__}:FailsInTheMiddle", "a broken one")
    monkeypatch.setitem(cast(dict[str, Component], LOGGERS), "broken", broken)
    project.set({"train.loggers": ["broken", *HERE], **PROBES})
    project.train_through(2)
    watched = [(layout.state(task).read_bytes(), losses(task), passes(task)) for task in (1, 2)]
    assert watched == without
    failed = "logger broken failed (ConnectionError: gone); training goes on without it"
    assert [r.message for r in caplog.records if r.levelno >= logging.WARNING] == [failed] * 2
    for name in HERE:
        {"tensorboard": read_tensorboard, "dvclive": read_dvclive, "wandb": find_wandb}[name]()
    # Trained again, a task takes the place of its points, or leaves them as they are.
    project.must("train", "1")
    for name in HERE:
        {"tensorboard": read_tensorboard, "dvclive": read_dvclive, "wandb": find_wandb}[name]()


def expected() -> dict[str, list[tuple[int, float]]]:
    """Each column of the training logs as points over the steps of all tasks."""
    points: dict[str, list[tuple[int, float]]] = {}
    for task in (1, 2):
        before = 0 if task == 1 else STEPS[1]
        for row in rows_of(layout.log(task)):
            for name, value in row.items():
                if name != "step" and value:
                    points.setdefault(name, []).append((before + int(row["step"]), float(value)))
    return points


def read_tensorboard() -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (folder,) = (layout.RUN_LOGS / "tensorboard").iterdir()
    held = EventAccumulator(str(folder)).Reload()
    for name, points in expected().items():
        found = [(point.step, point.value) for point in held.Scalars(name)]
        assert found == [(step, pytest.approx(value)) for step, value in points]
    assert len(held.Scalars("images_per_second")) == len(expected()["loss"])
    text = held.Tensors("params/text_summary")[0].tensor_proto.string_val[0].decode()
    assert folder.name in text
    assert "git_revision" in text


def read_dvclive() -> None:
    (folder,) = (layout.RUN_LOGS / "dvclive").iterdir()
    for name, points in expected().items():
        with (folder / "plots/metrics" / f"{name}.tsv").open() as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        assert [(int(row["step"]), float(row[name])) for row in rows] == points
    assert "git_revision" in (folder / "params.yaml").read_text()
    assert not (folder / "dvc.yaml").exists()


def find_wandb() -> None:
    """W&B's files hold the run: their form is its own, so only what is text in them is looked for."""
    found = sorted((layout.RUN_LOGS / "wandb" / "wandb").glob("offline-run-*/*.wandb"))
    assert len(found) == 2
    for path in found:
        content = path.read_bytes()
        for said in (b"probe_knn", b"git_revision", b"images_per_second", b"projection_rank"):
            assert said in content


def test_a_task_that_goes_on_is_measured_as_one_that_was_never_stopped(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.set({"train.loggers": ["dvclive"] if "dvclive" in HERE else [], **PROBES})
    project.train_through(2)
    whole = layout.log(2).read_bytes(), layout.state(2).read_bytes()
    monkeypatch.setenv("CASSLE_CHECKPOINT_SECONDS", "0")
    # Step 3 is the first of an epoch: the snapshot before it has the epoch that was measured.
    for step in (3, 4):
        at_step(monkeypatch, step, kill)
        with pytest.raises(KilledError):
            project.cassle("train", "2")
    at_step(monkeypatch, 5, send(signal.SIGTERM))
    assert project.cassle("train", "2")[0] == 143
    assert "goes on after step" in project.cassle("train", "2")[2]
    assert (layout.log(2).read_bytes(), layout.state(2).read_bytes()) == whole
    if "dvclive" in HERE:
        read_dvclive()


def test_the_log_the_table_and_the_page_have_what_was_measured(project: Project) -> None:
    project.set({"evaluation.every": 2, "evaluation.while_training_cost": 0.3, "num_tasks": 2})
    project.set({"evaluation.probes": ["knn"], "evaluation.headline": "knn"})
    project.run_all(2)
    rows = rows_of(Path("reports/losses.csv"))
    assert [bool(row["probe_knn"]) for row in rows] == [False, True] * 2
    assert [bool(row["probe_knn_earlier_tasks"]) for row in rows] == [False] * 3 + [True]
    assert 0 <= float(rows[1]["probe_knn"]) <= 100
    page = Path("reports/report.html").read_text()
    assert "Accuracy while training, by knn" in page
    # No loss term is made of it.
    assert "probe_knn" not in page.split('id="training"')[1].split("Accuracy while training")[0]


def test_without_it_there_is_no_plan_and_nothing_to_depend_on(project: Project) -> None:
    project.trained(1)
    assert layout.plan("probing").read_bytes() == layout.SPLIT_ONLINE.read_bytes() == b"null\n"
    before = {path.name: path.read_bytes() for path in layout.PLAN.iterdir()}
    project.set(PROBES)
    project.must("plan")
    after = {path.name: path.read_bytes() for path in layout.PLAN.iterdir()}
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"probing.json", "report.json"}
    project.must("prepare")
    assert json.loads(layout.SPLIT_ONLINE.read_text()).keys() >= {"probing"}


def test_a_task_that_comes_later_changes_no_training_before_it(project: Project) -> None:
    tree(project.root / "stream", {f"{a}/{b}": 10 for a in "xy" for b in ("cat", "dog")})
    project.set({**SMALL_FOLDERS, **PROBES})
    for stage in ("plan", "prepare"):
        project.must(stage)
    before = layout.SPLIT_ONLINE.read_bytes(), layout.plan("train_2").read_bytes()
    tree(project.root / "stream", {f"z/{b}": 10 for b in ("cat", "dog")})
    for stage in ("plan", "prepare"):
        project.must(stage)
    assert layout.split(3).read_bytes() != b"null\n"
    assert (layout.SPLIT_ONLINE.read_bytes(), layout.plan("train_2").read_bytes()) == before


def test_images_that_are_gone_are_left_out_and_that_is_said(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    tree(project.root / "stream", {f"{a}/{b}": 10 for a in "xy" for b in ("cat", "dog")})
    project.set({**SMALL_FOLDERS, **PROBES, **ALL, "strategy": "finetune"})
    project.train_through(1)
    shutil.rmtree(project.root / "stream" / "x")
    project.must("plan")
    project.must("prepare")
    project.must("train", "2")
    assert "probes while training leave task 1 out: its images are no longer here" in caplog.text
    assert {*rows_of(layout.log(2))[0]} >= {"probe_knn", "probe_knn_this_task"}
    assert "probe_knn_earlier_tasks" not in rows_of(layout.log(2))[0]


def test_too_small_a_share_is_said_and_ends_nothing(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    project.set({**PROBES, "evaluation.while_training_cost": 0.001})
    project.train_through(1)
    assert "(0.001) of its work leaves each measurement 0 images, and it needs 30" in caplog.text
    assert losses(1) == rows_of(layout.log(1))


def test_images_without_labels_are_measured_on_the_folder_that_has_some(project: Project) -> None:
    tree(project.root / "mine", {"": 40})
    tree(project.root / "labelled", {"cat": 20, "dog": 20})
    given = {**SMALL_FILES, "scenario": "data", "data.root": "mine", "data.holdout": 0.0}
    project.set({**given, **PROBES, **ALL, "num_tasks": 2})
    project.make_repository()
    assert "evaluation.every: probes while a task trains need labelled" in project.refuses("check")
    project.set({"data.labelled_root": "labelled", "data.holdout": 0.2})
    project.train_through(1)
    assert all(row["probe_knn"] for row in rows_of(layout.log(1)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"evaluation.every": 3}, "evaluation.every must be at most train.epochs (2), got 3"),
        ({"evaluation.every": 0}, "evaluation.every: input should be greater than or equal to 1"),
        (
            {"evaluation.while_training": ["online"]},
            "evaluation.while_training: online cannot be fitted within an epoch; one of: linear,",
        ),
        (
            {"evaluation.while_training": ["liner"]},
            "evaluation.while_training: 'liner' is unknown; did you mean 'linear'?",
        ),
        ({"evaluation.while_training": ["knn", "knn"]}, "'knn' is there twice"),
        ({"evaluation.while_training_cost": 0.0}, "evaluation.while_training_cost: input should"),
    ],
)
def test_what_cannot_be_measured_is_one_clear_error(
    changes: Changes, message: str, project: Project
) -> None:
    project.set(changes)
    assert message in project.refuses("plan")
