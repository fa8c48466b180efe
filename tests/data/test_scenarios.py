"""Class-, data- and domain-incremental streams: which images each task has."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from pipeline import layout
from pipeline.config.read import load_params
from pipeline.config.registry.datasets import TRANSFORMATIONS
from pipeline.data.datasets import transformed
from pipeline.data.datasets.array_source import ArraySource
from pipeline.data.datasets.transformed import Transformed
from pipeline.data.parts import Part
from pipeline.data.source import Bytes
from pipeline.data.stream.scenarios import StreamOptions, divide_into_tasks
from pipeline.data.stream.tasks import data_incremental, resolve_class_order
from pipeline.errors import DataError, ParamsError
from pipeline.files.csv_tables import read_csv
from pipeline.reporting.comparing.runs import read_run
from tests.support.project import Project
from tests.support.selections import read_part, select_part

NAMES = ["ant", "bee", "cat"]


class Made(ArraySource):
    """Images of 6 pixels whose labels are given."""

    def __init__(self, train: Sequence[int], test: Sequence[int]) -> None:
        super().__init__(Path("made"), True, NAMES)
        self.given = {"train": train, "test": test}

    def _read(self, part: Part) -> tuple[Bytes, Bytes]:
        labels = np.array(self.given[part], np.uint8)
        images = np.random.default_rng(0).integers(0, 256, (len(labels), 1, 6, 6), dtype=np.uint8)
        return images, labels


def made(each: int = 7) -> Made:
    return Made([0, 1, 2] * each, [0, 1, 2] * 5)


@pytest.mark.parametrize(("count", "tasks"), [(10, 3), (11, 11), (100, 7), (5, 1)])
def test_random_parts_hold_every_image_once_and_are_as_equal_as_they_can_be(
    count: int, tasks: int
) -> None:
    images = np.arange(count) * 2
    parts = data_incremental(images, tasks, split_seed=4)
    assert sorted(np.concatenate(parts).tolist()) == images.tolist()
    sizes = [len(part) for part in parts]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] - sizes[-1] <= 1


def test_random_parts_depend_on_the_split_seed_alone() -> None:
    parts = {str(data_incremental(np.arange(50), 5, seed)) for seed in (0, 0, 1, 2)}
    assert len(parts) == 3
    assert [part.tolist() for part in data_incremental(np.arange(6), 3, 0)] == [
        [1, 5],
        [2, 4],
        [0, 3],
    ]


def test_every_random_part_is_tested_on_everything() -> None:
    tasks = divide_into_tasks("data", made(), StreamOptions(4, 0))
    assert [len(task.images["train"]) for task in tasks] == [6, 5, 5, 5]
    assert all(task.images["test"].tolist() == list(range(15)) for task in tasks)
    assert all(task.classes == [0, 1, 2] for task in tasks)


@pytest.mark.parametrize("order", [["cat", "ant", "bee"], [2, 0, 1], ["cat", 0, "bee"]])
def test_classes_come_in_the_order_that_is_given(order: list[str | int]) -> None:
    tasks = divide_into_tasks("class", made(), StreamOptions(3, 0, order))
    assert [task.classes for task in tasks] == [[2], [0], [1]]


@pytest.mark.parametrize(
    ("order", "problem"),
    [
        (["cat", "ant", "cat"], r"'cat' \(2\) is there twice"),
        (["cat", 2, "ant"], r"'cat' \(2\) is there twice"),
        (["cat", "ant", "bea"], "'bea' is unknown; did you mean 'bee'"),
        ([0, 1, 3], "there is no class 3; classes are numbered from 0 to 2"),
        ([0, 1, -1], "there is no class -1"),
        (["bee"], "lacks 2 of 3 classes: ant, cat"),
    ],
)
def test_an_order_that_is_none_is_one_clear_error(order: list[str | int], problem: str) -> None:
    with pytest.raises(ValueError, match=f"^class_order.*{problem}"):
        resolve_class_order(order, NAMES)
    with pytest.raises(DataError, match=problem):
        divide_into_tasks("class", made(), StreamOptions(3, 0, order))


def test_params_refuse_an_order_with_a_class_twice(project: Project) -> None:
    project.set({"class_order": ["Bag", "Dress", "Bag"]})
    code, _, err = project.cassle("plan")
    assert code == 2
    assert err == "error: params.yaml: class_order: 'Bag' (8) is there twice\n"


def test_a_class_without_images_is_named() -> None:
    with pytest.raises(DataError, match="the test part has no image of 1 of 3 classes: bee"):
        divide_into_tasks("class", Made([0, 1, 2], [0, 2]), StreamOptions(2, 0))


def test_a_domain_may_lack_a_class() -> None:
    # The one ant is dealt to the first transformation.
    source = Transformed(Made([0, 1, 1, 2, 2], [0, 1, 2, 1, 2]), ["plain", "inverted"])
    tasks = divide_into_tasks("domain", source, StreamOptions(2, 0))
    assert [task.classes for task in tasks] == [[0, 1, 2], [1, 2]]


@pytest.mark.parametrize(("scenario", "tasks"), [("class", 4), ("data", 22), ("domain", 3)])
def test_more_tasks_than_there_can_be_are_refused(scenario: str, tasks: int) -> None:
    source = Transformed(made(), ["plain", "faded"])
    with pytest.raises(DataError, match=r"num_tasks|one domain"):
        divide_into_tasks(scenario, source, StreamOptions(tasks, 0))


def test_a_source_without_domains_has_no_tasks_of_domains() -> None:
    with pytest.raises(DataError, match=r"made has 0 \(it is not sorted into domain/class folders"):
        divide_into_tasks("domain", made(), StreamOptions(2, 0))


def test_every_domain_has_as_many_images_of_each_class_and_no_image_is_in_two() -> None:
    source = Transformed(made(10), list(TRANSFORMATIONS))
    tasks = divide_into_tasks("domain", source, StreamOptions(5, 0))
    assert [task.domain for task in tasks] == list(TRANSFORMATIONS)
    places = np.concatenate([task.images["train"] for task in tasks])
    assert sorted(places.tolist()) == list(range(30))
    for task in tasks:
        assert np.bincount(source.labels("train")[task.images["train"]]).tolist() == [2, 2, 2]


def test_transformations_do_what_they_are_called() -> None:
    assert tuple(transformed.TRANSFORMATIONS) == TRANSFORMATIONS
    images = made().images("train")
    assert np.array_equal(
        transformed.inverted(images).astype(int) + images, np.full(images.shape, 255)
    )
    turned = images
    for _ in range(4):
        turned = transformed.rotated(turned)
    assert np.array_equal(turned, images)
    assert transformed.rotated(images)[0, 0, 0, 0] == images[0, 0, 0, -1]
    flat = np.full((1, 1, 6, 6), 77, np.uint8)
    assert np.array_equal(transformed.blurred(flat), flat)
    assert transformed.blurred(images)[0, 0, 2, 2] == round(images[0, 0, :5, :5].mean())
    assert np.ptp(transformed.faded(images)) == pytest.approx(np.ptp(images) / 3, abs=1)


def test_transformed_images_are_those_of_their_domain() -> None:
    plain, source = made(), Transformed(made(), ["faded", "plain"])
    domains, images = source.domains("train"), source.images("train")
    before = plain.images("train")
    assert np.array_equal(images[domains == 1], before[domains == 1])
    assert np.array_equal(images[domains == 0], transformed.faded(before[domains == 0]))
    held = [select_part(each, "train", range(6)) for each in (source, plain)]
    assert held[0].fingerprint() != held[1].fingerprint()
    assert np.array_equal(read_part(source, "train", [4, 0]), images[[4, 0]])


def test_images_are_dealt_over_all_transformations_whichever_are_named() -> None:
    everything = Transformed(made(10), list(TRANSFORMATIONS))
    some = Transformed(made(10), ["faded", "inverted"])
    for name, place in (("faded", 0), ("inverted", 1)):
        among_all = everything.domains("train") == TRANSFORMATIONS.index(name)
        assert np.array_equal(some.domains("train") == place, among_all)
        assert among_all.sum() == 6
    assert (some.domains("train") == -1).sum() == 18, "images of the others are in no task"
    tasks = divide_into_tasks("domain", some, StreamOptions(2, 0))
    assert [(task.domain, len(task.images["train"])) for task in tasks] == [
        ("faded", 6),
        ("inverted", 6),
    ]


def test_a_data_incremental_run_reports_a_after_each_task_and_no_forgetting(
    project: Project,
) -> None:
    project.set({"scenario": "data"})
    project.run_all(3)
    metrics = json.loads(Path("reports/metrics.json").read_text())
    undefined = {name for name, value in metrics.items() if value is None}
    assert undefined == {
        *("forgetting", "forward_transfer", "backward_transfer"),
        *("knowledge_gain", "plasticity", "stability"),
    }
    # No test image is of a part, but each training image is.
    assert 0 <= metrics["consolidation"] <= 100
    rows = read_csv(Path("reports/accuracy_over_tasks.csv"))
    assert [row["after_task"] for row in rows] == ["0", "1", "2", "3"]
    assert float(rows[-1]["average_accuracy"]) == pytest.approx(
        metrics["average_accuracy"], abs=1e-3
    )
    matrix = read_run(None).matrix
    assert all(len(set(row)) == 1 for row in matrix)
    report = Path("reports/report.md").read_text()
    assert "| | whole test set |" in report
    assert f"| after task 3 | {metrics['average_accuracy']:.1f} |" in report
    page = Path("reports/report.html").read_text()
    assert page.count('<th scope="col" class="task">whole test set</th>') == 1
    assert "<h2>At the end</h2>" in page
    assert "| 1 | a random part | 54 | 40 |" in report
    assert "tasks hold 53 or 54 training images" in report
    assert (
        "so forgetting, transfer, knowledge gain, plasticity and stability are undefined" in report
    )
    split = json.loads(layout.split(2).read_text())
    assert split["counts"]["train"]["all"] == len(split["train"]) == 53
    assert sum(split["counts"]["train"]["classes"].values()) == 53


def test_a_domain_incremental_run_reports_domain_aware_accuracy(project: Project) -> None:
    project.set({"scenario": "domain", "evaluation.few_labels.labels": 1})
    project.run_all(3)
    report = Path("reports/report.md").read_text()
    assert "# fashion_mnist, domain-incremental" in report
    assert "| 2 | inverted |" in report
    assert "a check of the path, not a benchmark" in report
    assert "A, domain-aware" in report
    assert "Every task holds all 10 classes" in report
    metrics = json.loads(Path("reports/metrics.json").read_text())
    assert all(value is not None for value in metrics.values())
    last = json.loads(layout.EVALUATIONS.read_text())["rows"][-1]
    both = last["probes"]["nearest_mean"]
    assert both["task_agnostic"].keys() == both["task_aware"].keys() == {"1", "2", "3"}
    assert both["task_agnostic"] != both["task_aware"]


def test_domains_are_chosen_and_ordered(project: Project) -> None:
    project.set({"scenario": "domain", "data.domains": ["rotated", "plain", "blurred"]})
    project.must("plan")
    project.must("prepare")
    names = [json.loads(layout.split(task).read_text())["domain"] for task in (1, 2, 3)]
    assert names == ["rotated", "plain", "blurred"]


@pytest.mark.parametrize(
    ("domains", "problem"),
    [
        (["plain", "plain", "faded"], "'plain' is there twice"),
        (["plain", "fadet", "blurred"], "'fadet' is unknown; did you mean 'faded'"),
        (["plain"], "num_tasks must be at most 1 with scenario: domain"),
    ],
)
def test_domains_that_cannot_be_are_refused(
    project: Project, domains: list[str], problem: str
) -> None:
    project.set({"scenario": "domain", "data.domains": domains})
    with pytest.raises(ParamsError, match=problem):
        load_params(layout.PARAMS)
