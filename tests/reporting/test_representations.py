"""The features that an evaluation leaves, and what a report makes of them."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save, save_file
from torch import Tensor, nn

from pipeline import layout
from pipeline.artifacts.features import Features, read_features
from pipeline.data.datasets.fashion_mnist import FashionMNIST
from pipeline.errors import RunError
from pipeline.files.csv_tables import read_csv
from pipeline.files.sealed_json import read_sealed, seal, unseal, write_sealed
from pipeline.metrics.cka import linear_cka
from pipeline.models.small_resnet import SmallResNet
from pipeline.reporting.representations import compare_states
from tests.support.project import CLASSES, PER_CLASS, Project

TASKS = 3


def evaluation(after: int) -> dict:
    found = read_sealed(layout.evaluation(after), RunError, "")
    assert found is not None
    return found


def header(after: int) -> dict[str, str]:
    content = layout.features(after).read_bytes()
    size = int.from_bytes(content[:8], "little")
    return json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["cassle"])


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
    assert seen == [CLASSES * PER_CLASS["train"], CLASSES * PER_CLASS["t10k"]]
    seen.clear()
    project.set({"evaluation.probes": ["linear"]})
    project.must("plan")
    project.must("evaluate", "0")
    assert list(evaluation(0)["probes"]) == ["linear"]
    assert seen == [CLASSES * PER_CLASS["train"], CLASSES * PER_CLASS["t10k"]]


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
    assert "| metric (probe nearest_mean) |" in report
    assert "## Accuracy on each task's test images (probe nearest_mean)" in report
    assert "probe nearest_mean, after each task: the nearest class mean" in report
    assert "| **nearest_mean** (headline) |" in report
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
    project.trained(0)
    project.must("evaluate", "0")
    found = read_features(0, header(0)["plan"])
    labels = FashionMNIST(Path("data/fashion_mnist"), False).labels("test")
    places = [read_sealed(layout.split(task), RunError, "")["test"] for task in (1, 2, 3)]
    assert found.labels.tolist() == [int(labels[place]) for held in places for place in held]
    assert found.tasks.tolist() == [t for t, held in enumerate(places, 1) for _ in held]
    assert found.features.shape == (40, 8)
    for task in (1, 2, 3):
        values = np.linalg.svd(found.features[found.tasks == task].astype(float), compute_uv=False)
        share = values / values.sum()
        expected = math.exp(-sum(p * math.log(p) for p in share if p > 0))
        assert evaluation(0)["rank"][str(task)] == pytest.approx(expected)


def test_the_report_compares_each_state_with_the_one_before(project: Project) -> None:
    project.finished(TASKS)
    states = [load_file(layout.features(after)) for after in range(TASKS + 1)]

    def cka(after: int, chosen: np.ndarray) -> float | None:
        old, new = (states[at]["features"][chosen] for at in (after - 1, after))
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
            assert float(row["cka"]) == pytest.approx(cka(after, states[0]["tasks"] == task))
    learnt = [cka(2, states[0]["tasks"] < 2), cka(3, states[0]["tasks"] < 3)]
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
    rows = read_csv(Path("reports/representations.csv"))
    assert [bool(row["cka"]) for row in rows] == [False] * 3 + [True] * 3
    assert [row["after_task"] for row in rows] == ["0"] * 3 + ["3"] * 3
    found = {row["after_task"] for row in read_csv(Path("reports/probes.csv"))}
    assert found == {"0", "3"}


def test_changes_without_variation_are_undefined() -> None:
    tasks = np.array([1, 1, 2, 2])
    same, other = np.ones((4, 2), np.float32), np.arange(8, dtype=np.float32).reshape(4, 2)
    states = [Features(values, tasks, tasks) for values in (other, other, same)]
    first, second = compare_states(states, 2)
    assert first.tasks == [pytest.approx(1), pytest.approx(1)]
    assert first.learnt is None
    assert second.tasks == [None, None]
    assert second.learnt is None


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
    """Write other arrays with a checksum that fits them, and note it in the evaluation."""
    meta = header(1)
    arrays = {k: v for k, v in (load_file(path) | changed).items() if k != drop}
    content = hashlib.sha256(save(arrays)).hexdigest()
    sealed = seal(unseal(meta) | {"content": content})
    save_file(arrays, path, {"cassle": json.dumps(sealed, sort_keys=True)})
    noted = read_sealed(layout.evaluation(1), RunError, "")
    assert noted is not None
    write_sealed(layout.evaluation(1), noted | {"features": content})


def others(path: Path) -> None:
    """Write features that are sealed and of the same plan, but not the evaluation's."""
    evaluation = layout.evaluation(1).read_bytes()
    rewrite(path, {"labels": np.zeros(40, np.int64)})
    layout.evaluation(1).write_bytes(evaluation)


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
        (others, "has content "),
        (lambda path: path.write_bytes(layout.features(0).read_bytes()), "has after_task 0, expected 1"),
    ],
)  # fmt: skip
def test_damaged_features_are_refused(
    project: Project, damage: Callable[[Path], None], message: str
) -> None:
    project.set({"num_tasks": 1})
    project.finished(1)
    damage(layout.features(1))
    code, _, err = project.cassle("report")
    assert code == 2
    assert message in err
    assert "run `cassle evaluate 1` first" in err
    assert len(err.splitlines()) == 1


def test_features_of_another_plan_are_refused(project: Project) -> None:
    project.set({"num_tasks": 1})
    project.finished(1)
    old = layout.features(1).read_bytes()
    project.set({"evaluation.knn.k": 5})
    project.must("plan")
    project.must("evaluate", "0")
    project.must("evaluate", "1")
    layout.features(1).write_bytes(old)
    code, _, err = project.cassle("report")
    assert code == 2
    assert "task_1.safetensors has plan" in err


def test_features_that_are_not_finite_are_no_accuracy(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.trained(0)
    forward: Callable[[nn.Module, Tensor], Tensor] = SmallResNet.forward
    monkeypatch.setattr(SmallResNet, "forward", lambda self, x: forward(self, x) * float("nan"))
    code, _, err = project.cassle("evaluate", "0")
    assert code == 2
    assert "features of data/states/task_0.safetensors are not finite" in err
    assert not layout.evaluation(0).exists()
