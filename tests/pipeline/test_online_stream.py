"""Streams whose images come once, and budgets in place of epochs, through the stages."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file

from pipeline import layout
from pipeline.files.csv_tables import read_csv
from pipeline.methods.base import Position
from pipeline.models.backbone import Backbone
from pipeline.training.online import OnlineTrainer
from tests.support.interruption import KilledError, at_step, kill
from tests.support.params import Changes
from tests.support.project import Project

ONLINE: Changes = {
    "stream.online": True,
    "stream.passes": 2,
    "strategy": "finetune",
    "train.batch_size": 8,
    "train.optimizer": "sgd",
}


def outputs(task: int) -> tuple[bytes, bytes]:
    return layout.state(task).read_bytes(), layout.log(task).read_bytes()


def test_a_stream_is_seen_once_at_a_constant_rate(project: Project) -> None:
    project.set(ONLINE)
    project.trained(2)
    for task in (1, 2):
        split = json.loads(layout.split(task).read_text())
        steps = len(split["train"]) // 8 * 2
        timing = json.loads(layout.timing(task).read_text())
        assert (timing["steps"], timing["images_backward"]) == (steps, steps * 8 * 2)
        rows = read_csv(layout.log(task))
        assert len(rows) <= 10
        assert [int(row["step"]) for row in rows][-1] == steps
        assert len({row["learning_rate"] for row in rows}) == 1


def test_training_goes_on_over_a_boundary_that_is_not_told(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.set(
        {
            **ONLINE,
            "method": "swav",
            "methods.swav.queue_size": 24,
            "methods.swav.queue_start_epoch": 0,
            "methods.swav.freeze_prototypes_epochs": 0,
        }
    )
    project.trained(2)
    whole, first, last = outputs(2), load_file(layout.state(1)), load_file(layout.state(2))
    held = {name for name in first if name.startswith("training.")}
    assert any(name.startswith("training.optimizer.") for name in held)
    assert any(name.startswith("training.buffer.queue") for name in held)
    monkeypatch.setenv("CASSLE_CHECKPOINT_SECONDS", "0")
    for step in (0, 5):
        at_step(monkeypatch, step, kill)
        with pytest.raises(KilledError):
            project.cassle("train", "2")
    project.must("train", "2")
    assert outputs(2) == whole
    # Told of it, training begins anew: another state, and nothing held for the next task.
    project.set({"stream.boundaries": "told"})
    project.train_through(2)
    told = load_file(layout.state(1)), load_file(layout.state(2))
    assert held.isdisjoint(told[0])
    network = [name for name in told[0] if name.startswith("method.")]
    assert all(torch.equal(told[0][name], first[name]) for name in network)
    assert not all(torch.equal(told[1][name], last[name]) for name in network)


def test_the_online_classifiers_rate_is_as_constant_as_the_networks(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares: list[float] = []
    whole = OnlineTrainer.step

    def step(trainer: OnlineTrainer, backbone: Backbone, at: Position) -> None:
        shares.append(trainer.share_of_peak(at.step - 1))
        whole(trainer, backbone, at)

    monkeypatch.setattr(OnlineTrainer, "step", step)
    project.set({**ONLINE, "evaluation.probes": ["linear", "online"]})
    project.train_through(1)
    assert set(shares) == {1.0}


def test_all_tasks_at_once_are_the_same_stream_without_order(project: Project) -> None:
    project.set({**ONLINE, "strategy": "offline"})
    project.run_all(1)
    timing = json.loads(layout.timing(1).read_text())
    assert timing["steps"] == 160 // 8 * 2


@pytest.mark.parametrize("online", [False, True])
def test_a_budget_stops_strategies_at_the_same_number_of_images(
    online: bool, project: Project
) -> None:
    budget = 2 * 8 * 31
    project.set({**ONLINE, "stream.online": online, "train.budget": budget})
    counts = {}
    for strategy in ("finetune", "offline"):
        project.set({"strategy": strategy})
        project.train_through(1)
        timing = json.loads(layout.timing(1).read_text())
        counts[strategy] = (timing["images_backward"], timing["steps"])
    assert counts == {"finetune": (budget, 31), "offline": (3 * budget, 93)}


def test_what_a_memory_replays_is_in_the_budget(project: Project) -> None:
    project.set({"strategy": "er", "train.budget": 16 * 2 * 12, "strategies.er.memory_size": 20})
    project.trained(2)
    # Half a memory image for each of 16: 48 images a step.
    timing = json.loads(layout.timing(2).read_text())
    assert (timing["steps"], timing["images_backward"]) == (8, 16 * 2 * 12)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"strategy": "cassle"},
            "strategy: cassle has to know where a task ends, and stream.online with "
            "stream.boundaries: hidden does not say; use one of finetune",
        ),
        (
            {"strategy": "pocon", "stream.boundaries": "told"},
            "strategy: pocon trains each task in phases, each on all its images, and stream.online "
            "brings an image once; choose another strategy, or set stream.online: false",
        ),
        (
            {"method": "swav"},
            "methods.swav.queue_start_epoch counts epochs, and stream.online has none; set it to 0",
        ),
        ({"train.head_warmup_epochs": 1}, "train.head_warmup_epochs counts epochs"),
        ({"train.accumulate_grad_batches": 2}, "train.accumulate_grad_batches divides large"),
        ({"evaluation.every": 1}, "evaluation.every counts epochs"),
        (
            {"stream.boundaries": "secret"},
            "stream.boundaries: input should be 'hidden' or 'told', got 'secret'",
        ),
        ({"stream.passes": 0}, "stream.passes"),
        ({"train.budget": 100}, "train.budget must be at least 128 for task 1: a step passes 16"),
        (
            {"stream.online": False, "strategy": "pocon", "train.budget": 250},
            "train.budget must be at least 288 for task 2",
        ),
        (
            {
                "stream.online": False,
                "train.epochs": 9,
                "train.head_warmup_epochs": 2,
                "train.budget": 250,
            },
            "train.head_warmup_epochs must be below the 1.88 epochs that train.budget allows task "
            "1, got 2",
        ),
        (
            {
                "stream.online": False,
                "strategy": "pocon",
                "strategies.pocon.consolidation": 0.2,
                "train.epochs": 9,
                "train.warmup_epochs": 2,
                "train.budget": 1000,
            },
            "train.warmup_epochs must be at most the 1.83 epochs that train.budget allows a phase of task 2",
        ),
    ],
)
def test_what_does_not_fit_is_one_clear_error(
    changes: Changes, problem: str, project: Project
) -> None:
    project.make_repository()
    project.set({**ONLINE, **changes})
    code, _, err = project.cassle("check")
    assert code == 2
    assert problem in err
    assert "Traceback" not in err


def test_a_budget_that_a_strategy_makes_too_small_is_said_before_its_task_trains(
    project: Project,
) -> None:
    project.set({"strategy": "er", "train.budget": 130, "train.warmup_epochs": 0})
    project.trained(1)
    assert "train.budget must be at least 144 for task 2" in project.refuses("train", "2")
