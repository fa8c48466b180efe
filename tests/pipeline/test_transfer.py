"""Every state on labelled data beside the stream."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline import layout
from pipeline.artifacts.evaluation import find_evaluations
from pipeline.artifacts.transfer import Transfer
from pipeline.building.transfer_images import open_transfer
from pipeline.config.outside_folders import list_outside
from pipeline.config.plan_data import plan_reading
from pipeline.config.plan_transfer import choose_transfer
from pipeline.config.read import load_params
from pipeline.data.parts import PARTS
from pipeline.files.csv_tables import read_csv
from pipeline.stages.evaluate_transfer import TransferEvaluator
from tests.support.image_files import embedded, save, tree
from tests.support.params import SMALL_FILES
from tests.support.project import Project

OTHER = {"train/cat": 12, "train/dog": 12, "test/cat": 4, "test/dog": 3}


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """The state and the data of each evaluation, as they are made."""
    made: list[tuple[int, str]] = []
    evaluate: Callable[..., Transfer] = TransferEvaluator.evaluate

    def count(self: TransferEvaluator, task: int, data: object, key: str) -> Transfer:
        found = evaluate(self, task, data, key)
        made.append((task, found.data))
        return found

    monkeypatch.setattr(TransferEvaluator, "evaluate", count)
    return made


def test_states_are_evaluated_on_other_data_and_nothing_else_changes(
    project: Project, evaluated: list[tuple[int, str]]
) -> None:
    project.set({"num_tasks": 2})
    project.finished(2)
    before, plain = project.files(), find_evaluations()
    assert plain is not None and not plain.transfer and not evaluated
    assert Path("reports/transfer.csv").read_text() == "after_task,data,probe,accuracy\n"
    tree(Path("other"), OTHER)
    project.set({"evaluation.transfer": ["fashion_mnist", "other"]})
    for command in ("plan", "evaluate", "report"):
        project.must(command)
    assert evaluated == [(state, name) for state in range(3) for name in ("fashion_mnist", "other")]
    after, found = project.files(), find_evaluations()
    assert found is not None and found.rows == plain.rows and found.features == plain.features
    changed = {name for name in before if after[name] != before[name]} - {"params.yaml"}
    assert not [name for name in changed if name.startswith(("data/states", "data/splits"))]
    assert not {"reports/metrics.json", "reports/probes.csv"} & changed

    rows = read_csv(Path("reports/transfer.csv"))
    assert len(rows) == 3 * 2 * 2
    knn = {
        int(row["after_task"]): float(row["accuracy"])
        for row in rows
        if (row["data"], row["probe"]) == ("fashion_mnist", "knn")
    }
    # These are the stream's own images, so the mean over its tasks is known.
    tests = [len(json.loads(layout.split(task).read_text())["test"]) for task in (1, 2)]
    for each in plain.rows:
        own = list(each.probes["knn"].task_agnostic.values())
        assert knn[each.after_task] == pytest.approx(np.average(own, weights=tests))
    assert "## On other data" in Path("reports/report.md").read_text()
    page = Path("reports/report.html").read_text()
    assert '<section id="transfer">' in page and "7 to test on" in page

    evaluated.clear()
    project.must("evaluate")
    assert not evaluated
    save(Path("other/train/cat/more.jpg"), embedded(30)[29])
    project.must("evaluate")
    assert evaluated == [(state, "other") for state in range(3)]

    project.set({"evaluation.transfer": []})
    for command in ("plan", "evaluate", "report"):
        project.must(command)
    assert {name: project.files()[name] for name in before} == before


@pytest.mark.parametrize("command", ["check", "plan"])
def test_all_problems_with_other_data_are_named_at_once(project: Project, command: str) -> None:
    tree(Path("flat"), {".": 30})
    tree(Path("few"), {"cat": 5, "dog": 5})
    tree(Path("one"), {"cat": 30})
    tree(Path("untested/train"), {"cat": 15, "dog": 15})
    tree(Path("untested/test"), {"cat": 3})
    given = ["flat", "few", "one", "untested", "tiny_imagenet", "mnst"]
    project.set({"evaluation.transfer": given})
    code, _, err = project.cassle(command)
    assert code == 2 and "Traceback" not in err
    lines = [line for line in err.splitlines() if "evaluation.transfer" in line]
    for name, line in zip(given, lines, strict=True):
        assert line.startswith(f"error: evaluation.transfer: {name}: ")
    for said, line in zip(
        [
            "flat has no class folders, so no labels",
            "few has 8 images to learn from, below the 20 neighbours of evaluation.knn.k",
            "one has one class alone, 'cat'",
            "the test part has no image of 1 of 2 classes: dog",
            "it should hold what tiny-imagenet-200.zip unpacks to",
            "neither the name of a data set",
        ],
        lines,
        strict=True,
    ):
        assert said in line


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["domainnet"], "domainnet lies in no folder that is known here"),
        (["other", "other"], "'other' is there twice"),
        ("other", "transfer: input should be a valid list"),
    ],
)
def test_names_that_cannot_be_meant_are_refused(given: object, said: str, project: Project) -> None:
    project.set({"evaluation.transfer": given})
    assert said in project.refuses("plan")


def test_without_a_test_part_nothing_is_held_out_where_params_say_so(project: Project) -> None:
    tree(Path("other"), {"cat": 15, "dog": 15})
    project.set({"evaluation.transfer": ["other"], "data.holdout": 0.0})
    assert "no test part, and data.holdout is 0" in project.refuses("plan")


def test_a_damaged_image_is_named(project: Project) -> None:
    project.trained(0)
    tree(Path("other"), OTHER)
    Path("other/test/dog/bad.jpg").write_bytes(b"no image")
    project.set({"evaluation.transfer": ["other"]})
    project.must("plan")
    said = project.refuses("evaluate", "0")
    assert (
        "evaluation.transfer: other: other: 1 of 8 images of the test part cannot be used" in said
    )
    assert "test/dog/bad.jpg" in said
    project.set({"data.on_bad_image": "skip"})
    project.must("plan")
    project.must("evaluate", "0")


def test_images_enter_a_color_stream_as_its_own_do(project: Project) -> None:
    tree(Path("other"), OTHER)
    project.set({**SMALL_FILES, "data.root": "other", "num_tasks": 2})
    project.set({"evaluation.transfer": ["fashion_mnist", "other"]})
    assert [shape for shape, _ in open_all()] == [(160, 3, 16, 16), (24, 3, 16, 16)]


def test_color_images_enter_a_gray_stream_gray(project: Project) -> None:
    tree(Path("other"), OTHER)
    project.set({"evaluation.transfer": ["other"]})
    ((shape, images),) = open_all()
    assert shape == (24, 1, 28, 28)
    # They were grey, and JPEG keeps that.
    assert abs(int(images[0, 0].mean()) - int(embedded(1)[0].mean())) <= 2


def open_all() -> list[tuple[tuple[int, ...], np.ndarray]]:
    """The shape and the pixels of the training images of all other data."""
    params = load_params(layout.PARAMS)
    plan = choose_transfer(params)
    assert plan is not None
    found = []
    for data in plan.data:
        source = open_transfer(data, plan_reading(params))
        for part in PARTS[:1]:
            selection = source.select(part, source.keys(part))
            images = selection.reader()[np.arange(len(selection))]
            found.append((images.shape, images))
    return found


def test_dvc_gets_to_know_folders_that_are_evaluated_on(project: Project) -> None:
    tree(Path("other"), OTHER)
    tree(Path("labelled"), OTHER)
    project.set(
        {
            "evaluation.transfer": ["fashion_mnist", "other", "gone"],
            "data.labelled_root": "labelled",
        }
    )
    assert list_outside(load_params(layout.PARAMS)) == ["labelled", "other"]
