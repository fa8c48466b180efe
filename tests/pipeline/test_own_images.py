"""The chain of stages on folders of image files, through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline import layout
from pipeline.artifacts.plans.files import require_plan
from pipeline.artifacts.plans.report import ReportPlan
from pipeline.reporting.comparing.runs import read_run
from pipeline.reporting.page.against import require_same_tasks
from pipeline.reporting.results_reading import read_results
from tests.support.image_files import save, tree
from tests.support.params import SMALL_FILES, Changes
from tests.support.project import Project

FILES: Changes = {**SMALL_FILES, "data.root": "photos", "num_tasks": 2}


@pytest.fixture
def project(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.delenv("DVC_ROOT", raising=False)
    project.set(FILES)
    return project


def test_a_folder_of_classes_runs_end_to_end(project: Project) -> None:
    tree(project.root / "photos", {"cat": 12, "dog": 12, "eel": 12, "fox": 12})
    project.make_repository()
    assert "data: 40 training and 8 test images" in project.must("check")
    assert not (project.root / layout.STORES).exists()
    project.run_all(2)
    report = Path("reports/report.md").read_text()
    assert "# photos, class-incremental" in report
    assert "training images" in report
    assert json.loads(Path("reports/metrics.json").read_text())["average_accuracy"] >= 0
    stores = [path for path in layout.STORES.iterdir() if path.suffix == ".uint8"]
    # A store for each task and part: no task's images are read for another task.
    each = [(3 * 16 * 16 + 8) * 20, (3 * 16 * 16 + 8) * 4]  # an image and its checksum
    assert sorted(path.stat().st_size for path in stores) == sorted(each * 2)


def test_cached_and_streamed_images_with_and_without_workers_train_the_same_state(
    project: Project,
) -> None:
    tree(project.root / "photos", {"cat": 12, "dog": 12, "eel": 12, "fox": 12})
    project.train_through(2)
    before = layout.state(2).read_bytes()
    project.set({"data.store": "stream", "data.workers": 0})
    project.train_through(2)
    assert layout.state(2).read_bytes() == before
    project.set({"data.workers": 1})
    project.must("plan")
    project.must("train", "2")
    assert layout.state(2).read_bytes() == before


def test_how_files_are_read_touches_no_slot_of_a_stage(project: Project) -> None:
    project.must("plan")
    before = {path.stem: path.read_text() for path in layout.PLAN.iterdir()}
    project.set({"data.store": "stream", "data.workers": 8})
    project.must("plan")
    after = {path.stem: path.read_text() for path in layout.PLAN.iterdir()}
    assert {name for name in before if before[name] != after[name]} == {"reading", "report"}


def test_a_lost_store_is_made_again(project: Project) -> None:
    tree(project.root / "photos", {"cat": 12, "dog": 12})
    project.train_through(1)
    before = layout.state(1).read_bytes()
    for path in layout.STORES.iterdir():
        path.unlink()
    project.must("train", "1")
    assert layout.state(1).read_bytes() == before


@pytest.mark.parametrize("scenario", ["data", "folders"])
def test_a_stream_without_labels_is_learnt_and_reported_without_accuracies(
    scenario: str, project: Project
) -> None:
    folders = {".": 40} if scenario == "data" else {"a": 20, "b": 20}
    tree(project.root / "photos", folders)
    project.set({"scenario": scenario})
    project.make_repository()
    assert "no accuracy is measured without data.labelled_root" in project.must("check")
    project.run_all(2)
    held = json.loads(layout.EVALUATIONS.read_text())["rows"]
    assert [row["after_task"] for row in held] == [0, 1, 2]
    assert not any(row["accuracy"] or row.get("gone") for row in held)
    metrics = json.loads((layout.REPORTS / "metrics.json").read_text())
    assert {name for name, value in metrics.items() if value is not None} == {"headline"}
    for page in ("report.md", "report.html"):
        text = (layout.REPORTS / page).read_text()
        assert "No task has labelled test images" in text
        assert "undefined" not in text
        assert "whole test set" not in text
    assert Path("reports/accuracy_matrix.csv").read_text().count("\n") == 1
    assert "No task has labelled test images" in project.must("report")
    project.must("export", "--no-onnx", "--output", "out")
    assert "No task has labelled test images" in Path("out/README.md").read_text()
    code, _, err = project.cassle("report", "--against", "HEAD")
    assert code == 2
    assert err.count("\n") == 1


def test_labels_that_come_later_are_tested_on_without_training(project: Project) -> None:
    tree(project.root / "photos", {".": 40})
    project.set({"scenario": "data"})
    project.run_all(2)
    before = {path.name: path.read_bytes() for path in layout.PLAN.iterdir()}
    tree(project.root / "labelled", {"cat": 8, "dog": 8})
    project.set({"data.labelled_root": "labelled"})
    project.must("plan")
    changed = {
        path.name for path in layout.PLAN.iterdir() if before[path.name] != path.read_bytes()
    }
    assert changed == {"evaluate.json", "report.json"}
    project.must("evaluate")
    project.must("report")
    assert json.loads((layout.REPORTS / "metrics.json").read_text())["average_accuracy"] is not None


def test_labelled_images_without_a_test_part_are_learnt(project: Project) -> None:
    tree(project.root / "photos", {"cat": 20, "dog": 20})
    project.set({"data.holdout": 0.0})
    project.run_all(2)
    assert "No task has labelled test images" in (layout.REPORTS / "report.md").read_text()


def test_images_without_labels_are_evaluated_on_a_labelled_folder(project: Project) -> None:
    tree(project.root / "photos", {".": 40})
    tree(project.root / "labelled", {"cat": 8, "dog": 8})
    project.set({"scenario": "data", "data.labelled_root": "labelled"})
    project.run_all(2)
    evaluation = json.loads(layout.EVALUATIONS.read_text())["rows"][2]
    assert evaluation["after_task"] == 2
    assert evaluation["class_names"] == ["cat", "dog"]
    assert evaluation["images"] == {"train": 12, "test": 4}
    assert all(not probe["task_aware"] for probe in evaluation["probes"].values())
    project.must("export", "2", "--output", "out", "--no-onnx")
    report, card = Path("reports/report.md").read_text(), Path("out/README.md").read_text()
    page = Path("reports/report.html").read_text()
    for text in (report, card, page):
        # The test images are those of the folder, and no class is masked anywhere.
        assert "The images have no labels." in text
        assert "12 to fit the probes and 4 to test them" in text
        assert "by class: cat (6 and 2), dog (6 and 2)." in text
        assert "task-aware" not in text
    assert "| 1 | a random part | 20 | 4 |" in report
    assert report.startswith("# photos, data-incremental")
    # Another run on the same labelled images can stand beside this one.
    require_same_tasks(read_results(require_plan(ReportPlan, "report")), read_run(None))
    assert "| probe | protocol | A | F | FT |" in report


def test_other_labelled_images_under_the_same_name_are_another_run(project: Project) -> None:
    tree(project.root / "photos", {".": 20})
    tree(project.root / "labelled", {"cat": 8, "dog": 8})
    project.set({"scenario": "data", "data.labelled_root": "labelled"})
    project.run_all(2)
    before = json.loads(Path("reports/run.json").read_text())["data"]
    tree(project.root / "labelled", {"cat": 12, "dog": 12})
    project.must("evaluate")
    project.must("report")
    after = json.loads(Path("reports/run.json").read_text())["data"]
    assert before.keys() == after.keys()
    assert before["train"] == after["train"]
    assert before["labelled test"] != after["labelled test"]


def test_a_labelled_folder_beside_images_with_labels_is_refused(project: Project) -> None:
    tree(project.root / "photos", {"cat": 12, "dog": 12})
    tree(project.root / "labelled", {"cat": 8, "dog": 8})
    project.set({"data.labelled_root": "labelled"})
    problem = "error: data.labelled_root is for tasks without labelled test images"
    code, _, err = project.cassle("check")
    assert code == 2
    assert err.startswith(problem)
    for stage in ("plan", "prepare", "init"):
        project.must(stage)
    code, _, err = project.cassle("evaluate", "0")
    assert code == 2
    assert err.startswith(problem)


def test_skipped_images_are_counted_in_the_report(project: Project) -> None:
    tree(project.root / "photos", {"cat": 12, "dog": 12})
    (project.root / "photos/cat/broken.jpg").write_text("no image")
    project.must("plan")
    code, _, err = project.cassle("prepare")
    assert code == 2
    assert "broken.jpg (no JPEG, PNG, WebP, BMP or TIFF image)" in err
    project.set({"data.on_bad_image": "skip"})
    project.run_all(2)
    report = Path("reports/report.md").read_text()
    said = "Left out, as they cannot be read: {} test images."
    assert said.format("1 training and 0") in report or said.format("0 training and 1") in report


def test_domains_of_files_are_evaluated_both_ways(project: Project) -> None:
    tree(project.root / "photos", {f"{d}/{c}": 12 for d in ("ink", "oil") for c in ("cat", "dog")})
    project.set({"scenario": "domain"})
    project.run_all(2)
    report = Path("reports/report.md").read_text()
    assert "| 1 | ink | 20 | 4 |" in report
    assert "A, domain-aware" in report
    assert "a check of the path" not in report


def test_a_domain_that_is_named_twice_is_refused(project: Project) -> None:
    project.set({"scenario": "domain", "data.domains": ["ink", "ink"]})
    code, _, err = project.cassle("plan")
    assert code == 2
    assert err == "error: params.yaml: data.domains: 'ink' is there twice\n"


def test_images_may_be_kept_larger_than_the_network_sees_them(project: Project) -> None:
    tree(project.root / "photos", {"cat": 12, "dog": 12})
    project.set({"data.resize": 20})
    project.run_all(2)
    stores = [path for path in layout.STORES.iterdir() if path.suffix == ".uint8"]
    each = [(3 * 20 * 20 + 8) * 10, (3 * 20 * 20 + 8) * 2]
    assert sorted(path.stat().st_size for path in stores) == sorted(each * 2)


def test_crops_of_whole_images_are_the_same_however_they_are_read(project: Project) -> None:
    """Photographs of all shapes, with a memory of raw images, evaluated on crops of them too."""
    random = np.random.default_rng(0)
    for folder in ("cat", "dog", "eel", "fox"):
        for number in range(12):
            height, width = random.integers(12, 40, 2)
            image = random.integers(0, 256, (height, 3 * width if number == 5 else width, 3))
            save(project.root / f"photos/{folder}/{number}.png", image.astype(np.uint8))
    project.set(
        {
            "data.keep": "whole",
            "data.resize": 20,
            "data.interpolation": "bicubic",
            "augment.interpolation": "bicubic",
            "strategy": "cassle+er",
            "strategies.er.memory_size": 6,
            "evaluation.probes": ["linear", "linear_augmented"],
            "evaluation.linear_augmented.epochs": 1,
            "evaluation.linear_augmented.milestones": [],
        }
    )
    project.make_repository()
    project.must("check")
    project.run_all(2)
    before, metrics = layout.state(2).read_bytes(), Path("reports/metrics.json").read_text()
    assert json.loads(metrics)["average_accuracy"] >= 0
    project.must("export", "--output", "out", "--no-onnx")
    card = Path("out/README.md").read_text()
    assert "the shorter side is resized to 20 pixels, the longer one in proportion, bicubic" in card
    decoding = json.loads(Path("out/preprocessing.json").read_text())["decoding"]
    assert decoding[-1] == "the central 16×16 pixels are cropped"
    for changes in ({"data.store": "stream", "data.workers": 0}, {"data.workers": 1}):
        project.set(changes)
        project.train_through(2)
        assert layout.state(2).read_bytes() == before
    project.set({"data.keep": "square"})
    project.train_through(2)
    assert layout.state(2).read_bytes() != before


def test_images_kept_smaller_than_the_network_sees_them_are_refused(project: Project) -> None:
    project.set({"data.resize": 12})
    code, _, err = project.cassle("plan")
    assert code == 2
    assert "data.resize must be at least data.image_size (16), got 12" in err
