"""Interrupted training goes on to the same bytes, or not at all."""

from __future__ import annotations

import errno
import json
import os
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from pipeline import layout
from pipeline.errors import StateError
from pipeline.runtime.signals import SIGNALS
from pipeline.training.learner import Learner
from tests.support.interruption import KilledError, at_step, checkpoints, kill, send
from tests.support.params import Changes
from tests.support.project import Project

STEPS = 6  # of task 2 of the small project
FIRST_STEPS = 8  # of its task 1

# Two steps on each minibatch: a task is stopped in between, while a memory fills.
ONLINE: dict[str, object] = {
    "stream.online": True,
    "stream.passes": 2,
    "strategies.er.memory_size": 90,
    "strategies.cla_e.memory_size": 90,
    "strategies.cla_r.memory_size": 90,
}
CONFIGS: dict[str, Changes] = {
    "finetune": {"strategy": "finetune"},
    "cassle": {},
    "er": {"strategy": "er"},
    "ewc": {"strategy": "ewc"},
    "cassle with der": {"strategy": "cassle+der"},
    "lump": {"strategy": "lump"},
    "online er": ONLINE | {"strategy": "er", "strategies.er.memory": "minred"},
    "online cla": ONLINE | {"strategy": "cla_e+cla_r", "strategies.cla_r.memory": "reservoir"},
    "cla_r": {"strategy": "cla_r", "strategies.cla_r.memory_size": 40},
    "moco": {"method": "mocov2plus", "methods.mocov2plus.queue_size": 40},
    "swav": {"method": "swav", "methods.swav.queue_size": 40, "methods.swav.queue_start_epoch": 0},
    "byol": {"method": "byol"},
    "pnr with moco": {
        "strategy": "pnr",
        "method": "mocov2plus",
        "methods.mocov2plus.queue_size": 40,
    },
    "osiris": {"strategy": "osiris", "strategies.osiris.variant": "d"},
    "lars": {"train.optimizer": "lars"},
    "sgd": {"train.optimizer": "sgd"},
    "bf16": {"train.precision": "bf16-mixed"},
}


def outputs(task: int) -> tuple[bytes, bytes, dict[str, object]]:
    """A task's files; of its timing all that is not measured seconds."""
    timing = json.loads(layout.timing(task).read_text())
    kept = {key: value for key, value in timing.items() if "seconds" not in key and key != "sha256"}
    return layout.state(task).read_bytes(), layout.log(task).read_bytes(), kept


@pytest.mark.parametrize("name", CONFIGS)
def test_a_killed_task_goes_on_to_the_same_bytes(
    name: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.set(CONFIGS[name])
    project.trained(2)
    whole = outputs(2)
    monkeypatch.setenv("CASSLE_CHECKPOINT_SECONDS", "0")
    for step in (1, 3, 5):
        at_step(monkeypatch, step, kill)
        with pytest.raises(KilledError):
            project.cassle("train", "2")
        assert len(checkpoints()) == 1
    code, _, err = project.cassle("train", "2")
    assert code == 0, err
    assert f"task 2 goes on after step 5 of {STEPS}" in err
    assert outputs(2) == whole
    assert len(checkpoints()) == 1, "it stays until the next stage has begun"


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
    ids=["Ctrl-C", "SIGTERM", "SIGHUP"],
)
@pytest.mark.parametrize("step", [0, 2, 3, FIRST_STEPS - 1])
def test_a_signal_finishes_the_step_saves_and_says_how_to_go_on(
    number: signal.Signals, code: int, step: int, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    handlers = [signal.getsignal(each) for each in SIGNALS]
    project.trained(1)
    whole = outputs(1)
    before = project.files()
    at_step(monkeypatch, step, send(number))
    found, _, err = project.cassle("train", "1")
    assert found == code
    assert (
        f"stopped: task 1 is saved after step {step + 1} of {FIRST_STEPS}; the same command goes on"
        in err
    )
    assert project.files() == before
    err = project.cassle("train", "1")[2]
    assert f"task 1 goes on after step {step + 1} of {FIRST_STEPS}" in err
    assert outputs(1) == whole
    assert [signal.getsignal(each) for each in SIGNALS] == handlers


@pytest.mark.parametrize(
    "change",
    [
        {"distill_weight": 0.5},
        {"seed": 1},
        {"split_seed": 1},
        {"train.precision": "bf16-mixed"},
    ],
)
def test_another_training_never_goes_on_from_a_checkpoint(
    change: Changes, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.trained(1)
    at_step(monkeypatch, 2, send(signal.SIGINT))
    assert project.cassle("train", "2")[0] == 130
    saved = checkpoints()
    assert len(saved) == 1
    project.set(change)
    project.train_through(1)
    err = project.cassle("train", "2")[2]
    assert "goes on" not in err
    assert checkpoints() == saved


def test_another_parent_is_another_training(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.trained(1)
    at_step(monkeypatch, 2, send(signal.SIGINT))
    assert project.cassle("train", "2")[0] == 130
    saved = checkpoints()
    from pipeline.files.tensors import read_tensors, write_tensors

    held, _ = read_tensors(layout.state(1), StateError, "")
    header = json.loads(_metadata(layout.state(1))["cassle"])
    origin = {k: v for k, v in header.items() if k not in ("sha256", "content", "format")}
    changed = {name: t + (name.endswith("fc.bias")) for name, t in held.items()}
    name = next(name for name, t in changed.items() if t.is_floating_point())
    changed[name] = changed[name] + 1
    write_tensors(layout.state(1), changed, origin)
    err = project.cassle("train", "2")[2]
    assert "goes on" not in err
    assert checkpoints() == saved


@pytest.mark.parametrize(
    ("name", "answer"), [("get_num_threads", 3), ("backends.cpu.get_cpu_capability", "another")]
)
def test_another_rounding_is_another_training(
    name: str, answer: object, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.trained(0)
    at_step(monkeypatch, 2, send(signal.SIGINT))
    assert project.cassle("train", "1")[0] == 130
    saved = checkpoints()
    monkeypatch.setattr(f"torch.{name}", lambda: answer)
    at_step(monkeypatch, 1, send(signal.SIGINT))
    code, _, err = project.cassle("train", "1")
    assert code == 130
    assert "goes on after" not in err
    assert set(checkpoints()) > set(saved)


def test_weights_that_the_last_step_spoils_are_never_a_state(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.trained(0)
    original = Learner.training_step

    def training_step(self: Learner, images: Tensor, index: int) -> Tensor:
        loss = original(self, images, index)
        return loss * float("nan") if self.position.step == FIRST_STEPS - 1 else loss

    monkeypatch.setattr(Learner, "training_step", training_step)
    code, _, err = project.cassle("train", "1")
    assert code == 2
    assert "task 1, epoch 2: network.method." in err
    assert "is not finite; lower train.learning_rate" in err
    assert not layout.state(1).exists()


def _metadata(path: Path) -> dict[str, str]:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return dict(file.metadata())


@pytest.mark.parametrize("damage", ["flip", "cut", "pickle", "stranger"])
def test_a_damaged_checkpoint_is_noticed_and_the_task_begins_anew(
    damage: str,
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    project.trained(1)
    whole = outputs(1)
    at_step(monkeypatch, 2, send(signal.SIGINT))
    assert project.cassle("train", "1")[0] == 130
    (path,) = checkpoints()
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
    elif damage == "cut":
        del content[-1]
    elif damage == "pickle":
        torch.save({"a": torch.ones(1)}, path)
        content = bytearray(path.read_bytes())
    else:
        content = bytearray(layout.state(1).read_bytes())
    path.write_bytes(content)
    assert project.cassle("train", "1")[0] == 0
    assert "the task begins anew" in caplog.text
    assert outputs(1) == whole


def test_checkpoints_of_a_queued_experiment_lie_in_the_main_checkout(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    main = tmp_path_factory.mktemp("main")
    monkeypatch.setenv("DVC_ROOT", str(main))
    project.train_through(0)
    at_step(monkeypatch, 2, send(signal.SIGINT))
    assert project.cassle("train", "1")[0] == 130
    assert list(main.rglob("checkpoint.safetensors"))
    assert checkpoints() == []


@pytest.mark.parametrize("given", ["soon", "-1", "nan", ""])
def test_an_interval_that_is_no_number_of_seconds_is_refused(
    given: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.trained(0)
    monkeypatch.setenv("CASSLE_CHECKPOINT_SECONDS", given)
    code, _, err = project.cassle("train", "1")
    assert code == 2
    assert f"CASSLE_CHECKPOINT_SECONDS is {given!r}, expected seconds, 0 or more" in err


def test_what_is_not_finite_is_not_saved_and_the_last_checkpoint_stays(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.trained(1)
    monkeypatch.setenv("CASSLE_CHECKPOINT_SECONDS", "0")
    learners: list[Learner] = []
    original = Learner.training_step

    def training_step(self: Learner, images: Tensor, index: int) -> Tensor:
        learners.append(self)
        loss = original(self, images, index)
        return loss * float("nan") if self.position.step == 3 else loss

    monkeypatch.setattr(Learner, "training_step", training_step)
    code, _, err = project.cassle("train", "2")
    assert code == 2
    # The step's gradient was not finite, so the weights are not, though the terms were.
    assert "task 2, epoch 2: network.method." in err
    assert "is not finite; lower train.learning_rate" in err
    (path,) = checkpoints()
    held = load_file(path)
    assert all(t.isfinite().all() for t in held.values() if t.is_floating_point())
    assert json.loads(_metadata(path)["cassle"])["record"]["step"] == 3


def test_a_full_disk_at_a_checkpoint_stops_and_the_one_before_is_used(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.trained(1)
    whole = outputs(1)
    sync = os.fsync

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setenv("CASSLE_CHECKPOINT_SECONDS", "0")
        at_step(patch, 4, lambda: patch.setattr(os, "fsync", full))
        code, _, err = project.cassle("train", "1")
    assert os.fsync is sync
    assert code == 2
    (path,) = checkpoints()
    assert f"cannot write {path}: No space left on device" in err
    assert [left.name for left in path.parent.iterdir() if left.name.startswith(".")] == []
    assert "goes on after step 4 of 8" in project.cassle("train", "1")[2]
    assert outputs(1) == whole
