"""The chain of stages on a few images, through the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import cast

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from pipeline import layout
from pipeline.data.augmentation.augment import Augment
from pipeline.data.datasets.fashion_mnist import FashionMNIST
from pipeline.errors import DataError
from pipeline.files.csv_tables import read_csv
from pipeline.files.sealed_json import digest, read_sealed, write_sealed
from pipeline.methods.base import Position, Views
from pipeline.metrics.accuracy_matrix import (
    average_accuracy,
    average_incremental_accuracy,
    backward_transfer,
    forgetting,
    forward_transfer,
    knowledge_gain,
    plasticity,
    stability,
)
from pipeline.reporting.comparing.runs import read_run
from tests.support.params import ROOT, Changes
from tests.support.project import Project
from tests.support.selections import select_part


def states(project: Project, tasks: int) -> list[bytes]:
    return [(project.root / layout.state(task)).read_bytes() for task in range(tasks + 1)]


def backbones(project: Project, tasks: int) -> list[dict[str, torch.Tensor]]:
    return [
        {k: v for k, v in load_file(layout.state(t)).items() if k.startswith("method.backbone.")}
        for t in range(tasks + 1)
    ]


def test_the_stages_end_in_metrics_tables_and_plots(project: Project) -> None:
    project.run_all(3)
    rows = read_csv(Path("reports/accuracy_matrix.csv"))
    matrix = [[0.0] * 3 for _ in range(4)]
    for row in rows:
        matrix[int(row["after_task"])][int(row["task"]) - 1] = float(row["accuracy"])
    assert len(rows) == 12
    assert all(0 <= value <= 100 for row in matrix for value in row)
    states = read_csv(Path("reports/representations.csv"))
    told = [float(row["consolidation"]) for row in states if row["after_task"] == "3"]
    assert all(0 <= value <= 100 for value in told)
    metrics = json.loads(Path("reports/metrics.json").read_text())
    assert metrics == {
        "average_accuracy": pytest.approx(average_accuracy(matrix), abs=1e-4),
        "forgetting": pytest.approx(forgetting(matrix), abs=1e-4),
        "forward_transfer": pytest.approx(forward_transfer(matrix), abs=1e-4),
        "average_incremental_accuracy": pytest.approx(
            average_incremental_accuracy(matrix), abs=1e-4
        ),
        "backward_transfer": pytest.approx(backward_transfer(matrix), abs=1e-4),
        "knowledge_gain": pytest.approx(knowledge_gain(matrix), abs=1e-4),
        "consolidation": pytest.approx(sum(told) / 3, abs=1e-4),
        "plasticity": pytest.approx(plasticity(matrix), abs=1e-4),
        "stability": pytest.approx(stability(matrix), abs=1e-4),
        "cka": pytest.approx(0.5, abs=0.5),
        "headline": "linear",
    }
    run = read_run(None)
    assert (run.name, run.revision, run.matrix, run.metrics) == ("workspace", None, matrix, metrics)
    assert run.params == json.loads(layout.plan("report").read_text())["params"]
    assert set(run.identity) == {"data", "splits"}
    report = Path("reports/report.md").read_text()
    assert "tasks hold 3 or 4 classes" in report
    assert '"distill_weight": 1.0' in report
    losses = read_csv(Path("reports/losses.csv"))
    assert [row["task"] for row in losses] == ["1", "1", "2", "2", "3", "3"]
    assert losses[0]["distill"] == ""
    assert float(losses[-1]["loss"]) == pytest.approx(
        float(losses[-1]["ssl"]) + float(losses[-1]["distill"]), rel=1e-5
    )
    for name in ("accuracy_matrix", "accuracy_over_tasks", "losses", "projections"):
        assert Path(f"reports/{name}.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_seed_gives_the_same_bytes_and_another_seed_the_same_splits(
    project: Project,
) -> None:
    project.finished(3)
    first, metrics = states(project, 3), Path("reports/metrics.json").read_bytes()
    splits = [layout.split(task).read_bytes() for task in (1, 2, 3)]
    identity = read_run(None).identity
    project.run_all(3)
    assert states(project, 3) == first
    assert Path("reports/metrics.json").read_bytes() == metrics
    project.set({"seed": 1})
    project.run_all(3)
    assert all(a != b for a, b in zip(states(project, 3), first, strict=True))
    assert [layout.split(task).read_bytes() for task in (1, 2, 3)] == splits
    assert read_run(None).identity == identity


def test_another_split_seed_moves_the_classes(project: Project) -> None:
    project.trained(0)
    before = layout.split(1).read_bytes()
    project.set({"split_seed": 1})
    project.train_through(0)
    assert layout.split(1).read_bytes() != before


def test_distill_weight_zero_is_finetune_bit_for_bit(project: Project) -> None:
    project.set({"strategy": "finetune"})
    project.trained(3)
    finetuned = backbones(project, 3)
    project.set({"strategy": "cassle", "distill_weight": 0})
    project.train_through(3)
    for ours, theirs in zip(backbones(project, 3), finetuned, strict=True):
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_task_1_is_the_same_for_every_strategy_and_later_tasks_are_not(project: Project) -> None:
    project.trained(2)
    with_cassle = states(project, 2)
    project.set({"strategy": "finetune"})
    project.train_through(2)
    with_finetune = states(project, 2)
    assert with_cassle[:2] == with_finetune[:2]
    assert with_cassle[2] != with_finetune[2]


def test_the_predictor_crosses_the_task_boundary(project: Project) -> None:
    project.trained(2)
    carried = [name for name in load_file(layout.state(2)) if name.startswith("strategy.")]
    assert carried
    project.set({"strategies.cassle.carry_predictor": False})
    project.train_through(2)
    assert not [name for name in load_file(layout.state(2)) if name.startswith("strategy.")]


def test_evaluation_leaves_the_state_as_it_was(project: Project) -> None:
    project.trained(1)
    before = project.files()
    project.must("evaluate", "1")
    after = project.files()
    assert {name: after[name] for name in before} == before


def test_one_task_has_no_forgetting_and_no_forward_transfer(project: Project) -> None:
    project.set({"num_tasks": 1})
    project.finished(1)
    metrics = json.loads(Path("reports/metrics.json").read_text())
    assert metrics["forgetting"] is None
    assert metrics["forward_transfer"] is None
    assert metrics["stability"] is None
    assert metrics["cka"] is None
    assert metrics["consolidation"] is None
    assert metrics["plasticity"] is not None
    assert "consolidation C, the mean" not in Path("reports/report.md").read_text()
    assert metrics["average_accuracy"] > 0


def test_as_many_tasks_as_classes(project: Project) -> None:
    project.set({"num_tasks": 10, "train.epochs": 1, "train.warmup_epochs": 0})
    project.run_all(10)
    assert len(read_csv(Path("reports/accuracy_matrix.csv"))) == 110


def test_empty_slots_write_null_and_leave_torch_alone(project: Project) -> None:
    project.must("plan")
    assert not layout.plan("train_9").exists(), "without dvc.yaml there is no slot but the tasks'"
    write_sealed(layout.plan("train_9"), None)
    project.must("train", "9", "--planned")
    for path in layout.train_outputs(9):
        assert path.read_text() == "null\n"


def test_slots_of_dvc_yaml_above_the_tasks_are_planned_as_empty(project: Project) -> None:
    shutil.copy(ROOT / layout.CHAIN, layout.CHAIN)
    for stage in ("plan", "prepare"):
        project.must(stage)
    held = {task: layout.plan(f"train_{task}").read_text() for task in range(1, 6)}
    assert [held[task] == "null\n" for task in range(1, 6)] == [False, False, False, True, True]
    assert not layout.plan("train_6").exists()
    splits = [layout.split(task).read_text() == "null\n" for task in range(1, 6)]
    assert splits == [False, False, False, True, True]
    assert not layout.split(6).exists()
    project.set({"num_tasks": 6})
    before = project.files()
    code, _, err = project.cassle("plan")
    assert code == 2
    assert "num_tasks is 6, and dvc.yaml has slots for 5 tasks; run `cassle slots 6`" in err
    assert project.files() == before


def test_bf16_on_the_cpu_trains_with_finite_losses(project: Project) -> None:
    project.set({"train.precision": "bf16-mixed"})
    project.train_through(2)
    assert json.loads(layout.timing(2).read_text())["precision"] == "bf16-mixed"
    assert all(float(row["loss"]) < 100 for row in read_csv(layout.log(2)))


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_auto_trains_in_what_the_cpu_is_fast_in_and_says_so(
    norm: str, project: Project, cpu_description: Path
) -> None:
    cpu_description.write_text("flags : avx512_bf16\n")
    project.set({"train.precision": "auto", "backbone.norm": norm})
    project.train_through(0)
    code, out, _ = project.cassle("train", "1")
    assert code == 0
    expected = "bf16-mixed" if norm == "batch" else "32-true"
    assert f"precision: {expected}, " in out
    assert json.loads(layout.timing(1).read_text())["precision"] == expected


def test_resnet18_trains_too(project: Project) -> None:
    project.set({"backbone.name": "resnet18", "num_tasks": 10})
    project.train_through(1)
    assert load_file(layout.state(1))["method.projector.0.weight"].shape == (16, 512)


def test_planning_twice_writes_nothing_new(project: Project) -> None:
    project.must("plan")
    written = {path: path.stat().st_mtime_ns for path in layout.PLAN.iterdir()}
    project.must("plan")
    assert {path: path.stat().st_mtime_ns for path in layout.PLAN.iterdir()} == written


@pytest.mark.parametrize(
    ("change", "touched"),
    [
        ({"distill_weight": 0.5}, {"train_2", "train_3", "evaluate"}),
        ({"linear_eval.learning_rate": 0.2}, {"evaluate"}),
        ({"num_tasks": 4}, {"prepare", "views", "train_4", "evaluate"}),
        ({"evaluation.knn.k": 5}, {"evaluate"}),
        ({"evaluation.headline": "knn"}, {"evaluate"}),
        ({"split_seed": 7}, {"prepare"}),
    ],
)  # fmt: skip
def test_a_param_touches_only_the_slots_that_use_it(
    project: Project, change: Changes, touched: set[str]
) -> None:
    project.must("plan")
    before = {path.stem: path.read_text() for path in layout.PLAN.iterdir()}
    project.set(change)
    project.must("plan")
    after = {path.stem: path.read_text() for path in layout.PLAN.iterdir()}
    names = before.keys() | after.keys()
    assert {name for name in names if before.get(name) != after.get(name)} == touched | {"report"}


def test_the_options_of_a_probe_that_is_not_chosen_touch_nothing(project: Project) -> None:
    project.set({"evaluation.probes": ["linear", "solver", "nearest_mean", "knn"]})
    project.must("plan")
    before = {path.stem: path.read_text() for path in layout.PLAN.iterdir()}
    project.set({"evaluation.few_labels.labels": 0.5})
    project.must("plan")
    after = {path.stem: path.read_text() for path in layout.PLAN.iterdir()}
    assert {name for name in before if before[name] != after[name]} == {"report"}


def test_distill_weight_touches_nothing_under_finetune(project: Project) -> None:
    project.set({"strategy": "finetune"})
    project.must("plan")
    before = {path.stem: path.read_text() for path in layout.PLAN.iterdir()}
    project.set({"distill_weight": 0.5})
    project.must("plan")
    after = {path.stem: path.read_text() for path in layout.PLAN.iterdir()}
    assert {name for name in before if before[name] != after[name]} == {"report"}


def test_the_learner_calls_every_hook_of_both_contracts(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.methods.simclr import SimCLR
    from pipeline.strategies.base import Step
    from pipeline.strategies.cassle import Cassle

    calls: list[Position] = []
    done: list[Position] = []
    before: list[Position] = []
    mixed: list[Position] = []

    def mix(self: Cassle, views: Views, at: Position) -> Views:
        mixed.append(at)
        return views

    def terms(self: Cassle, step: Step) -> dict[str, Tensor]:
        calls.append(step.at)
        return {}

    monkeypatch.setattr(Cassle, "mix", mix)
    monkeypatch.setattr(Cassle, "terms", terms)
    monkeypatch.setattr(SimCLR, "after_backward", lambda self, at: before.append(at))
    monkeypatch.setattr(SimCLR, "after_step", lambda self, at: done.append(at))
    project.train_through(2)
    steps = json.loads(layout.timing(2).read_text())["steps"]
    each = steps // 2
    assert mixed == calls == [Position(number, each, steps) for number in range(steps)]
    assert before[-steps:] == mixed
    assert done[-steps:] == [Position(number + 1, each, steps) for number in range(steps)]
    assert [at.progress for at in done[-steps:]][-1] == 1
    assert [at.epoch for at in before[-steps:]] == [number // each for number in range(steps)]


def test_a_state_that_learnt_another_task_order_is_refused(project: Project) -> None:
    project.trained(2)
    split = read_sealed(layout.split(1), DataError, "")
    assert split is not None
    index = read_sealed(layout.SPLIT_INDEX, DataError, "")
    assert index is not None
    images, labels = cast(list[int], split["train"]), cast(dict[str, list[int]], split["labels"])
    # The splits of the last two tasks are as they were.
    held = select_part(FashionMNIST(Path("data/fashion_mnist"), False), "train", images[:-1])
    fingerprint = cast(dict[str, str], split["fingerprint"])
    fewer = {
        "train": images[:-1],
        "labels": {**labels, "train": labels["train"][:-1]},
        "fingerprint": {**fingerprint, "train": held.fingerprint()},
    }
    write_sealed(layout.split(1), split | fewer)
    write_sealed(layout.SPLIT_INDEX, index | {"1": digest(split | fewer)})
    # An evaluation looks at the state before too.
    for command, what in (
        (("evaluate", "2"), "task_1.safetensors has another split"),
        (("train", "3"), "task_2.safetensors has another task_order than the plan: got ["),
    ):
        code, _, err = project.cassle(*command)
        assert code == 2
        assert what in err
    write_sealed(layout.split(1), split)
    write_sealed(layout.SPLIT_INDEX, index)
    project.must("evaluate", "2")
    # In a queued experiment it may not be there.
    layout.split(1).unlink()
    project.must("train", "3")


def test_a_loss_that_is_not_finite_ends_the_task_and_saves_nothing(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.trained(1)
    before = project.files()
    make = Augment.make_views
    monkeypatch.setattr(
        Augment, "make_views", lambda self, x, d: tuple(v * float("nan") for v in make(self, x, d))
    )
    code, _, err = project.cassle("train", "2")
    assert code == 2
    assert "epoch 1: the loss term 'loss' is nan" in err
    assert project.files() == before
