"""The features that an evaluation leaves, and what a report makes of them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save, save_file
from torch import Tensor, nn

from pipeline import layout
from pipeline.artifacts.evaluation import Evaluation, ProbeAccuracies
from pipeline.artifacts.features import read_features
from pipeline.artifacts.plans.evaluate import EvaluatePlan
from pipeline.artifacts.plans.files import require_plan
from pipeline.artifacts.split import read_splits
from pipeline.building.trained_backbone import load_backbone
from pipeline.building.views import build_augment
from pipeline.data.datasets.fashion_mnist import FashionMNIST
from pipeline.errors import RunError
from pipeline.evaluation.examples import Examples
from pipeline.evaluation.features import extract
from pipeline.files.csv_tables import read_csv
from pipeline.files.sealed_json import read_sealed, seal, unseal, write_sealed
from pipeline.metrics.cka import linear_cka
from pipeline.models.small_resnet import SmallResNet
from pipeline.reporting.representations import FeatureChange, list_changes
from pipeline.stages.evaluate_states import StateEvaluator
from tests.support.project import CLASSES, PER_CLASS, Project

TASKS = 3


def evaluation(after: int) -> dict:
    (found,) = (row for row in evaluations()["rows"] if row["after_task"] == after)
    return found


def evaluations() -> dict:
    found = read_sealed(layout.EVALUATIONS, RunError, "")
    assert found is not None
    return found


def header() -> dict[str, str]:
    content = layout.FEATURES.read_bytes()
    size = int.from_bytes(content[:8], "little")
    return json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["cassle"])


def extract_test_images(after: int) -> tuple[np.ndarray, np.ndarray]:
    """The features of all tasks' test images after a state, and the task of each image."""
    plan = require_plan(EvaluatePlan, "evaluate")
    splits = read_splits(plan.num_tasks)
    places = np.array([place for split in splits for place in split.test])
    images = FashionMNIST(Path("data/fashion_mnist"), False).images("test")[places]
    backbone, _ = load_backbone(plan, after)
    normalize = build_augment(plan.dataset, ()).normalize
    tasks = np.array([split.task for split in splits for _ in split.test])
    return extract(backbone, torch.from_numpy(images), normalize).numpy(), tasks


def test_one_pass_over_the_images_serves_all_probes(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.trained(0)
    seen: list[int] = []
    forward = SmallResNet.forward

    def counted(self: SmallResNet, images: Tensor) -> Tensor:
        seen.append(len(images))
        return forward(self, images)

    monkeypatch.setattr(SmallResNet, "forward", counted)
    project.must("evaluate", "0")
    assert len(evaluation(0)["probes"]) == 5
    every = CLASSES * (PER_CLASS["train"] + PER_CLASS["t10k"])
    assert sum(seen) == every
    seen.clear()
    shutil.rmtree(layout.SCRATCH)
    project.set({"evaluation.probes": ["linear"]})
    project.must("plan")
    project.must("evaluate", "0")
    assert list(evaluation(0)["probes"]) == ["linear"]
    assert sum(seen) == every


def test_an_evaluation_holds_each_probe_s_accuracies(project: Project) -> None:
    project.trained(0)
    project.must("evaluate", "0")
    found = evaluation(0)
    names = {"linear", "solver", "knn", "nearest_mean", "few_labels"}
    assert set(found["probes"]) == names
    assert found["images"] == {"train": 160, "test": 40}
    assert found["accuracy"] == found["probes"]["linear"]["task_agnostic"]
    for probe in found["probes"].values():
        for task in ("1", "2", "3"):
            assert 0 <= probe["task_agnostic"][task] <= probe["task_aware"][task] <= 100


def test_the_headline_probe_is_the_one_of_the_matrix_and_every_title(project: Project) -> None:
    project.set({"evaluation.headline": "nearest_mean"})
    project.finished(TASKS)
    for after in range(TASKS + 1):
        found = evaluation(after)
        assert found["accuracy"] == found["probes"]["nearest_mean"]["task_agnostic"]
    metrics = json.loads(Path("reports/metrics.json").read_text())
    assert metrics["headline"] == "nearest_mean"
    last = list(evaluation(TASKS)["accuracy"].values())
    assert metrics["average_accuracy"] == pytest.approx(sum(last) / TASKS, abs=1e-4)
    report = Path("reports/report.md").read_text()
    assert "| metric (probe nearest_mean: nearest class mean) |" in report
    assert (
        "## Accuracy on each task's test images (probe nearest_mean: nearest class mean)" in report
    )
    assert "probe nearest_mean, after each task: the nearest class mean" in report
    assert "| **nearest_mean** (headline) | nearest class mean |" in report
    assert "probe nearest_mean" in " ".join(project.must("report").split())


def test_the_same_few_labels_for_every_state_and_other_ones_for_another_seed(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.evaluation import few_labels

    drawn: list[list[int]] = []
    draw = few_labels.draw_labelled

    def noted(*arguments: object) -> Tensor:
        found: Tensor = draw(*arguments)  # type: ignore[arg-type]
        drawn.append(found.tolist())
        return found

    monkeypatch.setattr(few_labels, "draw_labelled", noted)
    project.trained(1)
    project.must("evaluate", "0")
    project.must("evaluate", "1")
    project.set({"seed": 1})
    project.train_through(0)
    project.must("evaluate", "0")
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(drawn[0]) == CLASSES


def test_the_features_are_those_of_the_test_images_in_the_order_of_the_splits(
    project: Project,
) -> None:
    project.finished(TASKS)
    found = read_features(evaluations()["features"])
    labels = FashionMNIST(Path("data/fashion_mnist"), False).labels("test")
    places = [read_sealed(layout.split(task), RunError, "")["test"] for task in (1, 2, 3)]
    assert found.labels.tolist() == [int(labels[place]) for held in places for place in held]
    assert found.tasks.tolist() == [t for t, held in enumerate(places, 1) for _ in held]
    assert found.features.shape == (40, 8)
    assert found.features == pytest.approx(extract_test_images(TASKS)[0], abs=1e-5)
    for task in (1, 2, 3):
        values = np.linalg.svd(found.features[found.tasks == task].astype(float), compute_uv=False)
        share = values / values.sum()
        expected = math.exp(-sum(p * math.log(p) for p in share if p > 0))
        assert evaluation(TASKS)["rank"][str(task)] == pytest.approx(expected)


def test_the_report_compares_each_state_with_the_one_before(project: Project) -> None:
    project.finished(TASKS)
    states = [extract_test_images(after)[0] for after in range(TASKS + 1)]
    tasks = extract_test_images(0)[1]

    def cka(after: int, chosen: np.ndarray) -> float | None:
        old, new = (states[at][chosen] for at in (after - 1, after))
        return linear_cka(old, new)

    rows = read_csv(Path("reports/representations.csv"))
    assert [(row["after_task"], row["task"]) for row in rows] == [
        (str(after), str(task)) for after in range(4) for task in (1, 2, 3)
    ]
    for row in rows:
        after, task = int(row["after_task"]), int(row["task"])
        assert float(row["rank"]) == evaluation(after)["rank"][str(task)]
        if after == 0:
            assert row["cka"] == ""
        else:
            assert float(row["cka"]) == pytest.approx(cka(after, tasks == task))
            assert float(row["cka"]) == evaluation(after)["cka"][str(task)]
        assert float(row["consolidation"]) == evaluation(after)["consolidation"][str(task)]
    learnt = [cka(2, tasks < 2), cka(3, tasks < 3)]
    assert [evaluation(after).get("cka_learnt") for after in range(TASKS + 1)] == [
        None,
        None,
        *(pytest.approx(value) for value in learnt),
    ]
    metrics = json.loads(Path("reports/metrics.json").read_text())
    assert metrics["cka"] == pytest.approx(sum(learnt) / 2, abs=1e-4)


def test_the_probes_table_holds_all_that_the_evaluations_found(project: Project) -> None:
    project.finished(TASKS)
    rows = read_csv(Path("reports/probes.csv"))
    assert len(rows) == 4 * 5 * 3
    order = ["linear", "solver", "knn", "nearest_mean", "few_labels"]
    assert [row["probe"] for row in rows[::3]] == order * 4
    for row in rows:
        found = evaluation(int(row["after_task"]))["probes"][row["probe"]]
        assert float(row["task_agnostic"]) == found["task_agnostic"][row["task"]]
        assert float(row["task_aware"]) == found["task_aware"][row["task"]]


def test_all_tasks_at_once_are_compared_with_the_random_network_alone(project: Project) -> None:
    project.set({"strategy": "offline"})
    project.finished(1)
    metrics = json.loads(Path("reports/metrics.json").read_text())
    assert {metrics[name] for name in ("forgetting", "plasticity", "stability", "cka")} == {None}
    assert metrics["average_incremental_accuracy"] is None
    assert metrics["consolidation"] == pytest.approx(
        sum(evaluation(1)["consolidation"].values()) / 3, abs=1e-4
    )
    rows = read_csv(Path("reports/representations.csv"))
    assert [bool(row["cka"]) for row in rows] == [False] * 3 + [True] * 3
    assert [row["after_task"] for row in rows] == ["0"] * 3 + ["3"] * 3
    found = {row["after_task"] for row in read_csv(Path("reports/probes.csv"))}
    assert found == {"0", "3"}


def test_changes_without_variation_are_undefined() -> None:
    tasks = np.array([1, 1, 2, 2])
    same, other = np.ones((4, 2), np.float32), np.arange(8, dtype=np.float32).reshape(4, 2)
    evaluator = Extracted([other, other, same], tasks)
    assert evaluator.compare(0) == ({}, None)
    assert evaluator.compare(1) == ({"1": pytest.approx(1), "2": pytest.approx(1)}, None)
    assert evaluator.compare(2) == ({"1": None, "2": None}, None)


def test_a_state_is_compared_on_what_the_one_before_was_asked_about_and_had_learnt() -> None:
    tasks = np.array([1, 1, 1, 2, 2, 2, 3, 3, 3])
    random = np.random.default_rng(0)
    states = [random.normal(size=(9, 2)).astype(np.float32) for _ in range(4)]

    def cka(after: int, chosen: np.ndarray) -> object:
        return pytest.approx(linear_cka(states[after - 1][chosen], states[after][chosen]))

    asked_all = Extracted(states, tasks)
    both = {str(task): cka(2, tasks == task) for task in (1, 2, 3)}
    assert asked_all.compare(2) == (both, cka(2, tasks == 1))
    assert asked_all.compare(3)[1] == cka(3, tasks < 3)
    # Where a state is asked about the next task alone, the one before knows nothing of the third.
    growing = Extracted(states, tasks, one_ahead=True)
    assert growing.compare(2) == ({"1": both["1"], "2": both["2"]}, cka(2, tasks == 1))
    gone = Extracted(states, tasks, gone=[1])
    assert gone.compare(2) == ({"2": both["2"], "3": both["3"]}, None)


def test_changes_are_listed_from_the_first_task_on_with_none_where_there_is_none() -> None:
    probe = ProbeAccuracies({}, {})
    row = Evaluation(0, "k", "s", "knn", ("a",), {}, {"knn": probe}, {}, {})
    rows = [
        row,
        dataclasses.replace(row, after_task=1, cka={"1": 0.25, "2": 0.5}),
        dataclasses.replace(row, after_task=2, cka={"1": None, "3": 0.75}, cka_learnt=0.125),
    ]
    assert list_changes(rows, 3) == [
        FeatureChange([0.25, 0.5, None], None),
        FeatureChange([None, None, 0.75], 0.125),
    ]


class Extracted(StateEvaluator):
    """Features of three states or more, made by hand.

    Args:
        states: the features after each state, ``(N, F)``.
        tasks: the task of each image, ``(N,)``.
        one_ahead: whether a state is asked about the next task alone.
        gone: the tasks whose images are gone before the last state.
    """

    def __init__(
        self,
        states: Sequence[np.ndarray],
        tasks: np.ndarray,
        *,
        one_ahead: bool = False,
        gone: Sequence[int] = (),
    ) -> None:
        self.states, self.of_task = states, tasks
        self.gone = gone
        numbers = sorted(set(tasks.tolist()))
        self.plan = SimpleNamespace(last_state=len(states) - 1, one_ahead=one_ahead)
        self.splits = [SimpleNamespace(classes=[0, 1]) for _ in numbers]
        self.labelled = SimpleNamespace(tested=lambda asked: asked)
        self.features = SimpleNamespace(
            get=self.get, are_here=lambda state, task, part: task not in gone
        )

    def get(self, task: int, number: int, part: str) -> Tensor:
        assert part == "test"
        return torch.from_numpy(self.states[task][self.of_task == number])

    def compare(self, after: int) -> tuple[dict[str, float | None], float | None]:
        tasks = torch.from_numpy(self.of_task)
        test = Examples(torch.from_numpy(self.states[after]), tasks, tasks, shared=False)
        return self._compare(after, test, sorted(set(self.of_task.tolist())))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


def empty(path: Path) -> None:
    path.write_text("null\n")


def without_header(path: Path) -> None:
    save_file(load_file(path), path)


def rewrite(path: Path, changed: dict[str, np.ndarray], drop: str = "") -> None:
    """Write other arrays with a checksum that fits them, and note it in the evaluations."""
    meta = header()
    arrays = {k: v for k, v in (load_file(path) | changed).items() if k != drop}
    content = hashlib.sha256(save(arrays)).hexdigest()
    sealed = seal(unseal(meta) | {"content": content})
    save_file(arrays, path, {"cassle": json.dumps(sealed, sort_keys=True)})
    write_sealed(layout.EVALUATIONS, evaluations() | {"features": content})


def others(path: Path) -> None:
    """Write features that are sealed, but not the evaluation's."""
    before = layout.EVALUATIONS.read_bytes()
    rewrite(path, {"labels": np.zeros(40, np.int64)})
    layout.EVALUATIONS.write_bytes(before)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (Path.unlink, "is missing"),
        (truncate, "is damaged or was not written by this"),
        (flip, "its tensors do not match their checksum"),
        (empty, "is damaged or was not written by this"),
        (without_header, "its metadata has no key 'cassle'"),
        (lambda path: rewrite(path, {}, drop="tasks"), "holds {"),
        (lambda path: rewrite(path, {"tasks": np.zeros(3, np.int64)}), "of shapes {"),
        (lambda path: rewrite(path, {"labels": np.zeros(40, np.int32)}), "'labels': 'int32'"),
        (others, "is of another evaluation"),
        (lambda path: path.write_bytes(layout.state(1).read_bytes()), "is of another evaluation"),
    ],
)  # fmt: skip
def test_damaged_features_are_refused(
    project: Project, damage: Callable[[Path], None], message: str
) -> None:
    project.set({"num_tasks": 1})
    project.finished(1)
    damage(layout.FEATURES)
    code, _, err = project.cassle("report")
    assert code == 2
    assert message in err
    assert "run `cassle evaluate` first" in err
    assert len(err.splitlines()) == 1


def test_features_of_another_plan_are_refused(project: Project) -> None:
    project.set({"num_tasks": 1})
    project.finished(1)
    old = layout.FEATURES.read_bytes()
    project.set({"seed": 1})
    project.train_through(1)
    project.must("evaluate")
    assert layout.FEATURES.read_bytes() != old
    layout.FEATURES.write_bytes(old)
    code, _, err = project.cassle("report")
    assert code == 2
    assert "data/features.safetensors is of another evaluation" in err


def test_features_that_are_not_finite_are_no_accuracy(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.trained(0)
    forward: Callable[[nn.Module, Tensor], Tensor] = SmallResNet.forward
    monkeypatch.setattr(SmallResNet, "forward", lambda self, x: forward(self, x) * float("nan"))
    code, _, err = project.cassle("evaluate", "0")
    assert code == 2
    assert "features of data/states/task_0.safetensors are not finite" in err
    assert not layout.EVALUATIONS.exists()
    assert not layout.ROWS.exists()
