"""Linear evaluation on crops and flips in a run, and where images are no longer here."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pipeline import layout
from pipeline.artifacts.evaluation import Evaluation, find_evaluations
from tests.support.image_files import tree
from tests.support.params import SMALL_FOLDERS, Changes
from tests.support.project import Project

PROBE = "linear_augmented"
AUGMENTED: Changes = {
    "evaluation.probes": ["knn", PROBE],
    "evaluation.headline": PROBE,
    "evaluation.linear_augmented.epochs": 3,
    "evaluation.linear_augmented.milestones": [2],
    "evaluation.linear_augmented.batch_size": 16,
}


def rows() -> list[Evaluation]:
    found = find_evaluations()
    assert found is not None
    return list(found.rows)


def test_it_is_measured_on_every_state_and_named_everywhere(project: Project) -> None:
    project.set({"num_tasks": 2, **AUGMENTED})
    project.finished(2)
    for row in rows():
        assert row.accuracy.keys() == {"1", "2"}
        probed = row.probes[PROBE]
        assert all(probed.task_aware[task] >= probed.task_agnostic[task] for task in ("1", "2"))
    report = Path("reports/report.md").read_text()
    assert "frozen, plain features of random crops and flips of all training images" in report
    assert f"| **{PROBE}** (headline) | offline linear, on random crops and flips | " in report
    states = [layout.state(task).read_bytes() for task in range(3)]
    project.set({"evaluation.probes": ["knn"], "evaluation.headline": "knn"})
    project.run_all(2)
    assert [layout.state(task).read_bytes() for task in range(3)] == states


@pytest.fixture
def folders(project: Project) -> Project:
    project.set({**SMALL_FOLDERS, **AUGMENTED})
    for name in "ab":
        add_folder(project, name)
    project.run_all(2)
    return project


def add_folder(project: Project, name: str) -> None:
    tree(
        project.root / "stream" / name,
        {f"{part}/{c}": 8 for part in ("train", "test") for c in "xy"},
    )


def test_within_a_domain_it_learns_from_the_images_of_that_alone(folders: Project) -> None:
    for row in rows():
        assert row.probes[PROBE].task_aware.keys() == row.accuracy.keys() == {"1", "2"}


def test_where_images_are_gone_it_is_not_measured_and_what_was_measured_stays(
    folders: Project,
) -> None:
    before = rows()
    folder, away = folders.root / "stream/a", folders.root / "away"
    shutil.move(folder, away)
    add_folder(folders, "c")
    for stage in (("plan",), ("prepare",), ("train", "3"), ("evaluate",), ("report",)):
        folders.must(*stage)
    after = rows()
    # Features of folder a are kept, so other probes are measured on new classifiers.
    assert after[0].probes["knn"].task_agnostic.keys() == {"1", "2", "3"}
    for state in (0, 1, 2):
        assert after[state].accuracy == before[state].accuracy
    assert after[3].accuracy == {}
    assert "–" in Path("reports/report.md").read_text()
    assert json.loads(Path("reports/metrics.json").read_text())["average_accuracy"] is None
    shutil.rmtree(folder, ignore_errors=True)
    shutil.move(away, folder)
    for stage in ("plan", "prepare", "evaluate", "report"):
        folders.must(stage)
    assert rows()[3].accuracy.keys() == {"1", "2", "3"}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"milestones": [3, 2]}, "milestones must rise, got [3, 2]"),
        ({"milestones": [3]}, "milestones must be below epochs (3), got [3]"),
        ({"crop_scale": [0.5, 0.2]}, "crop_scale must rise"),
        ({"learning_rate": 0}, "learning_rate"),
    ],
)
def test_options_that_do_not_fit_are_one_error_before_anything_runs(
    changes: Changes, problem: str, project: Project
) -> None:
    given = {f"evaluation.{PROBE}.{key}": value for key, value in changes.items()}
    project.set({**AUGMENTED, **given})
    assert problem in project.refuses("plan")
