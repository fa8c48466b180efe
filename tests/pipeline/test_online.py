"""The online classifier: trained beside the network, which never knows."""

from __future__ import annotations

import csv
import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from pipeline import layout
from pipeline.artifacts.evaluation import find_evaluations
from pipeline.artifacts.features import read_features
from pipeline.errors import RunError
from pipeline.files.tensors import read_tensors
from pipeline.training.online import OnlineOrder, OnlineTrainer
from tests.support.image_files import tree
from tests.support.interruption import KilledError, at_step, checkpoints, kill, send
from tests.support.params import SMALL_FILES, Changes
from tests.support.project import CLASSES, PER_CLASS, Project
from tests.support.two_processes import train_in_pairs

ONLINE: Changes = {
    "num_tasks": 2,
    "evaluation.probes": ["linear", "online"],
    "evaluation.headline": "online",
}
OFF: Changes = {"num_tasks": 2, "evaluation.probes": ["linear"]}
IMAGES = CLASSES * PER_CLASS["train"]


def classifier(task: int) -> dict[str, Tensor]:
    return read_tensors(layout.online(task), RunError, "")[0]


def outputs(task: int) -> tuple[bytes, bytes]:
    """A task's state and its losses."""
    return layout.state(task).read_bytes(), layout.log(task).read_bytes()


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"train.optimizer": "lars", "strategy": "cassle+er"},
        {"train.optimizer": "sgd", "method": "byol", "train.accumulate_grad_batches": 2},
        {"train.precision": "bf16-mixed", "method": "mocov2plus"},
        {"strategy": "offline"},
    ],
    ids=["default", "lars", "parts", "bf16", "offline"],
)
def test_with_and_without_it_states_and_losses_are_the_same_bytes(
    config: Changes, project: Project
) -> None:
    tasks = 1 if config.get("strategy") == "offline" else 2
    project.set({**config, "methods.mocov2plus.queue_size": 40})
    found = []
    for probes in (OFF, ONLINE):
        project.set(probes)
        project.train_through(tasks)
        timing = json.loads(layout.timing(tasks).read_text())
        found.append([*map(outputs, range(1, tasks + 1)), timing["forward_passes"]])
    assert found[0] == found[1]
    assert classifier(1)["weight"].shape == (CLASSES, 8)
    # What it learns it learns from all classes, later ones too.
    assert all(bias.abs() > 0 for bias in classifier(1)["bias"])


def test_without_it_there_is_nothing_to_depend_on(project: Project) -> None:
    project.set(OFF)
    project.trained(1)
    empty = (layout.online(1), layout.SPLIT_ONLINE, layout.plan("online"))
    assert {path.read_bytes() for path in empty} == {b"null\n"}


def test_what_is_measured_is_the_classifier_on_the_features_of_the_test_images(
    project: Project,
) -> None:
    project.set(ONLINE)
    project.finished(2)
    found = find_evaluations()
    assert found is not None
    features = read_features(found.features)
    held = classifier(2)
    scores = functional.linear(torch.from_numpy(features.features), held["weight"], held["bias"])
    right = scores.argmax(dim=1) == torch.from_numpy(features.labels)
    for task in (1, 2):
        wanted = 100 * right[torch.from_numpy(features.tasks) == task].double().mean()
        assert found.rows[2].probes["online"].task_agnostic[str(task)] == pytest.approx(wanted)
    aware = found.rows[2].probes["online"].task_aware
    assert all(aware[task] >= found.rows[2].accuracy[task] for task in ("1", "2"))
    assert found.rows[0].probes["online"].task_agnostic == {}
    assert found.rows[0].probes["linear"].task_agnostic.keys() == {"1", "2"}


def test_it_draws_nothing_from_the_generator_of_all(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    take, same = OnlineTrainer.step, []

    def step(self: OnlineTrainer, *arguments: Any) -> None:
        before = torch.random.get_rng_state()
        take(self, *arguments)
        same.append(torch.equal(before, torch.random.get_rng_state()))

    monkeypatch.setattr(OnlineTrainer, "step", step)
    project.set(ONLINE)
    project.train_through(1)
    assert same and all(same)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"train.final_learning_rate": 0.01}, "train.final_learning_rate (0.01)"),
        (
            {"train.warmup_start": 0.002, "train.scale_learning_rate": "linear"},
            "train.warmup_start (",
        ),
    ],
)
def test_a_rate_below_the_ends_of_the_schedule_is_refused(
    changes: Changes, said: str, project: Project
) -> None:
    project.set({**ONLINE, "evaluation.online.learning_rate": 1e-5, **changes})
    code, _, err = project.cassle("plan")
    assert code == 2
    assert f"evaluation.online.learning_rate must be at least {said}" in err


def test_it_learns(project: Project) -> None:
    project.set({**ONLINE, "train.epochs": 12})
    project.finished(2)
    found = find_evaluations()
    assert found is not None
    assert sum(found.rows[2].accuracy.values()) / 2 > 2 * 100 / CLASSES


def test_every_table_says_how_it_was_measured(project: Project) -> None:
    project.set(ONLINE)
    project.finished(2)
    protocol = "online linear, while the network trains"
    said = project.must("report")
    assert f"probe online: {protocol}" in " ".join(said.split())
    report = Path("reports/report.md").read_text()
    assert f"| metric (probe online: {protocol}) | value |" in report
    assert f"test images (probe online: {protocol})" in report
    assert f"| **online** (headline) | {protocol} | " in report
    assert "| linear | offline linear, on features extracted once | " in report
    assert "the random network is not; so FT and plasticity are undefined" in report
    assert "no longer here" not in report
    page = Path("reports/report.html").read_text()
    assert f"(probe online: {protocol})" in page
    assert f'<td class="text">{protocol}</td>' in page
    with Path("reports/probes.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert {(row["probe"], row["protocol"]) for row in rows} == {
        ("online", protocol),
        ("linear", "offline linear, on features extracted once"),
    }
    metrics = json.loads(Path("reports/metrics.json").read_text())
    assert metrics["headline"] == "online"
    assert metrics["forward_transfer"] is None
    assert metrics["average_accuracy"] is not None
    project.must("export", "--output", "exported", "--no-onnx")
    assert "online linear evaluation" in Path("exported/README.md").read_text()


@pytest.mark.parametrize("optimizer", ["adamw", "lars", "sgd"])
def test_a_killed_task_goes_on_to_the_same_classifier(
    optimizer: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.set({**ONLINE, "train.optimizer": optimizer})
    project.trained(2)
    whole = layout.online(2).read_bytes(), outputs(2)
    monkeypatch.setenv("CASSLE_CHECKPOINT_SECONDS", "0")
    for step in (1, 3, 6):
        at_step(monkeypatch, step, kill)
        with pytest.raises(KilledError):
            project.cassle("train", "2")
    assert "goes on after step 6" in project.cassle("train", "2")[2]
    assert (layout.online(2).read_bytes(), outputs(2)) == whole


def test_a_checkpoint_without_it_is_of_another_training(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.set(OFF)
    project.trained(0)
    at_step(monkeypatch, 2, send(signal.SIGINT))
    assert project.cassle("train", "1")[0] == 130
    assert len(checkpoints()) == 1
    project.set(ONLINE)
    project.train_through(0)
    assert "goes on" not in project.cassle("train", "1")[2]
    assert layout.online(1).stat().st_size > len(b"null\n")


def test_two_processes_end_with_the_classifier_of_one(project: Project) -> None:
    project.set(ONLINE)
    project.train_through(1)
    one = classifier(1)
    project.set({"train.devices": 2})
    project.train_through(0)
    train_in_pairs([(project.root, 1, "", 0)])
    assert "Error" not in Path("said_1_0.txt").read_text()
    found = classifier(1)
    for name, tensor in one.items():
        # Rounding of the network in two processes, grown by steps of AdamW.
        torch.testing.assert_close(found[name], tensor, rtol=0.02, atol=2e-3)


def test_a_classifier_of_another_run_is_refused(project: Project) -> None:
    project.set(ONLINE)
    project.trained(2)
    shutil.copy(layout.online(1), layout.online(2))
    assert "has another training; run `cassle train 2` first" in project.refuses("evaluate")
    layout.online(2).unlink()
    assert "data/online/task_2.safetensors is missing" in project.refuses("evaluate")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {**SMALL_FILES, "scenario": "folders", "data.root": "mine", "num_tasks": None},
            "a stream that grows",
        ),
        ({**SMALL_FILES, "data.labelled_root": "labelled"}, "data.labelled_root these have none"),
    ],
)
def test_a_stream_that_it_does_not_fit_is_refused_before_anything_runs(
    changes: Changes, problem: str, project: Project
) -> None:
    tree(project.root / "mine", {f"{a}/{b}": 8 for a in ("x", "y") for b in ("cat", "dog")})
    project.set({**ONLINE, **changes})
    assert problem in project.refuses("plan")


def test_images_without_labels_are_refused(project: Project) -> None:
    tree(project.root / "mine", {"": 40})
    given = {**SMALL_FILES, "scenario": "data", "data.root": "mine", "data.holdout": 0.0}
    project.set({**ONLINE, **given})
    project.make_repository()
    assert "learns from labelled training images, and no task has any" in project.refuses("check")
    project.train_through(0)
    assert "no training image has a label" in project.refuses("train", "1")


def test_the_order_of_a_step_depends_on_the_step_alone() -> None:
    def rows(start: int) -> Iterator[list[int]]:
        order = OnlineOrder(10, 4, 5, 10, 0, 1)
        order.start = start
        return iter(order)

    whole = list(rows(0))
    assert [list(rows(start)) for start in range(10)] == [whole[start:] for start in range(10)]
    # An order of ten images fills two batches of four; an epoch of five steps begins a new one.
    for first in (0, 2, 5, 7):
        assert len({row for batch in whole[first : first + 2] for row in batch}) == 8
    assert len(whole) == 10
    assert all(len(batch) == 4 for batch in whole)
    few = list(OnlineOrder(3, 4, 2, 4, 0, 1))
    assert [sorted(batch) for batch in few] == [[0, 1, 2]] * 4


def test_each_step_of_the_network_is_one_of_the_classifier(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.set({**ONLINE, "train.accumulate_grad_batches": 2})
    project.train_through(0)
    steps: list[int] = []
    step = OnlineTrainer.step

    def noted(self: OnlineTrainer, backbone: object, at: object) -> None:
        steps.append(at.step)  # type: ignore[attr-defined]
        step(self, backbone, at)  # type: ignore[arg-type]

    monkeypatch.setattr(OnlineTrainer, "step", noted)
    project.must("train", "1")
    assert steps == list(range(1, 2 * (IMAGES // 2 // 16) + 1))
