"""Loggers get what losses.csv holds, on one axis, and change no byte of a state."""

from __future__ import annotations

import csv
import json
import os
import signal
import threading
from pathlib import Path
from typing import cast

import pytest
from torch import Tensor

from pipeline import layout
from pipeline.config.read import parse_params
from pipeline.config.registry.component import Component
from pipeline.config.registry.loggers import LOGGERS
from pipeline.config.resolve import resolve
from pipeline.reporting.comparing.settings import read_settings
from pipeline.training.learner import Learner
from pipeline.training.loggers import guarded
from tests.support.project import Project

LOGS = layout.RUN_LOGS / "csv"
RUN = "simclr-cassle-seed_0-*"  # and some digits of the digest of all params
STEPS = 8  # of task 1 of the small project


def read(path: Path) -> list[dict[str, float]]:
    with path.open() as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def folder_of(task: int, run: str = RUN) -> Path:
    (folder,) = LOGS.glob(f"{run}/task_{task}")
    return folder


def logged(task: int, run: str = RUN) -> list[dict[str, float]]:
    """What the logger csv has of a task, but for how fast it was."""
    with (folder_of(task, run) / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [
        {key: float(value) for key, value in row.items() if key != "images_per_second"}
        for row in rows
    ]


def outputs(task: int) -> tuple[bytes, bytes]:
    return layout.state(task).read_bytes(), layout.log(task).read_bytes()


@pytest.fixture
def project(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    monkeypatch.setattr(guarded, "PATIENCE", 500.0)  # where tests share the machine
    return project


def test_a_logger_gets_what_the_losses_hold_and_changes_no_byte(project: Project) -> None:
    project.train_through(2)
    without = [outputs(task) for task in (1, 2)]
    assert not layout.RUN_LOGS.exists()
    project.set({"train.loggers": ["csv"]})
    project.train_through(2)
    assert [outputs(task) for task in (1, 2)] == without
    for task, steps_before in ((1, 0), (2, STEPS)):
        expected = read(layout.log(task))
        for row in expected:
            row["step"] += steps_before
        assert logged(task) == expected
    hparams = (folder_of(2) / "hparams.yaml").read_text()
    assert "distill_weight: 1.0" in hparams
    assert f"run: {folder_of(2).parent.name}" in hparams
    assert "git_revision: unknown (no git repository or no commit)" in hparams


def test_runs_of_other_params_are_logged_apart(project: Project) -> None:
    for rate in (0.02, 0.01):
        project.set({"train.loggers": ["csv"], "train.learning_rate": rate})
        project.train_through(1)
    assert len(list(LOGS.glob(RUN))) == 2


def test_a_plan_that_cannot_be_read_takes_the_loggers_away_and_ends_nothing(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    project.set({"train.loggers": ["csv"]})
    project.train_through(0)
    layout.plan("report").unlink()
    project.must("train", "1", "--planned")
    assert "no loggers: data/plan/report.json is missing" in caplog.text
    assert not layout.RUN_LOGS.exists()


def test_a_run_of_dvc_is_logged_under_its_name(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_EXP_NAME", "ripe-plum")
    project.set({"train.loggers": ["csv"]})
    project.train_through(1)
    assert logged(1, "ripe-plum") == read(layout.log(1))


def test_a_task_that_goes_on_is_logged_whole(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.set({"train.loggers": ["csv"]})
    project.train_through(0)
    step_of = Learner.training_step

    def training_step(self: Learner, images: Tensor, index: int) -> Tensor:
        if self.position.step == 5:
            os.kill(os.getpid(), signal.SIGTERM)
        return step_of(self, images, index)

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "training_step", training_step)
        assert project.cassle("train", "1")[0] == 143
    assert [row["epoch"] for row in logged(1)] == [1]
    project.must("train", "1")
    assert logged(1) == read(layout.log(1))


@pytest.mark.parametrize("when", ["__init__", "log_hyperparams", "log_metrics", "save", "finalize"])
def test_a_logger_that_fails_says_so_once_and_training_goes_on(
    when: str,
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from pytorch_lightning.loggers import CSVLogger

    def fail(*given: object, **named: object) -> None:
        raise RuntimeError("the server\nis away")

    project.train_through(1)
    whole = outputs(1)
    project.set({"train.loggers": ["csv"]})
    monkeypatch.setattr(CSVLogger, when, fail)
    project.train_through(1)
    assert outputs(1) == whole
    said = "logger csv failed (RuntimeError: the server is away); training goes on without it"
    assert [record.message for record in caplog.records].count(said) == 1


def test_a_logger_whose_package_is_missing_is_one_that_fails(
    project: Project, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    entry = Component("not_here.at_all:Logger", "a missing one")
    monkeypatch.setitem(cast(dict[str, Component], LOGGERS), "away", entry)
    project.set({"train.loggers": ["away", "csv"]})
    project.train_through(1)
    assert "logger away failed (ModuleNotFoundError: No module named 'not_here')" in caplog.text
    assert logged(1) == read(layout.log(1))


def test_a_logger_that_waits_is_left_when_the_task_ends(
    project: Project, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from pytorch_lightning.loggers import CSVLogger

    answer = threading.Event()
    monkeypatch.setattr(CSVLogger, "save", lambda logger: answer.wait())
    monkeypatch.setattr(guarded, "PATIENCE", 0.2)
    project.set({"train.loggers": ["csv"]})
    project.train_through(1)
    assert layout.state(1).exists()
    said = "logger csv failed (it has not ended after 0 s); training goes on without it"
    assert [record.message for record in caplog.records].count(said) == 1
    answer.set()


def test_a_logger_whose_package_is_not_installed_is_refused_with_the_command(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = Component("not_here.at_all:Logger", "a missing one", package="not_here")
    monkeypatch.setitem(cast(dict[str, Component], LOGGERS), "away", entry)
    project.set({"train.loggers": ["away"]})
    said = (
        "train.loggers: away needs the package not_here, not installed here; run "
        "`pip install 'cassle-pipeline[away]'`, or leave it out"
    )
    assert said in project.refuses("plan")
    assert said in project.refuses("check")


def test_images_per_second_are_of_the_steps_that_this_process_took(project: Project) -> None:
    project.set({"train.loggers": ["csv"]})
    project.train_through(1)
    with (folder_of(1) / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    seconds = [4 * 16 / float(row["images_per_second"]) for row in rows]
    assert 0 < sum(seconds) < json.loads(layout.timing(1).read_text())["seconds"] + 0.1


def test_self_log_reaches_the_loggers(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.train_through(1)
    whole = outputs(1)
    step_of = Learner.training_step

    def training_step(self: Learner, images: Tensor, index: int) -> Tensor:
        loss = step_of(self, images, index)
        self.log("batch_loss", loss)
        return loss

    monkeypatch.setattr(Learner, "training_step", training_step)
    project.set({"train.loggers": ["csv"]})
    project.train_through(1)
    assert outputs(1) == whole
    content = (folder_of(1) / "metrics.csv").read_text()
    assert "batch_loss" in content.splitlines()[0]


def test_loggers_are_in_the_plan_of_the_machine_alone(project: Project) -> None:
    project.must("plan")
    before = {path.name: path.read_bytes() for path in layout.PLAN.iterdir()}
    project.set({"train.loggers": ["csv"]})
    project.must("plan")
    after = {path.name: path.read_bytes() for path in layout.PLAN.iterdir()}
    changed = {name for name in before if before[name] != after[name]}
    # As the devices, they stand among the params that the report shows.
    assert changed == {"machine.json", "report.json"}
    named = json.loads(after["machine.json"])["loggers"]
    assert [each["name"] for each in named] == ["csv"]


def test_compare_passes_over_loggers(project: Project) -> None:
    text = layout.PARAMS.read_text()
    found = []
    for loggers in ("[]", "[csv]"):
        params = parse_params(text.replace("loggers: []", f"loggers: {loggers}"), "params")
        found.append(read_settings(dict(resolve(params).report.params)))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["cvs"], "train.loggers: 'cvs' is unknown; did you mean 'csv'?"),
        (["csv", "csv"], "train.loggers: 'csv' is there twice in"),
        ("csv", "train.loggers: input should be a valid list, got 'csv'"),
    ],
)
def test_loggers_that_are_none_are_one_clear_error(
    given: object, message: str, project: Project
) -> None:
    project.set({"train.loggers": given})
    assert message in project.refuses("plan")
