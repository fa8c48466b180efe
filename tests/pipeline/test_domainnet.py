"""DomainNet in its published format, a class missing here and there, from prepare to report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline import layout
from pipeline.artifacts.split import read_split
from tests.support.image_files import embedded, save, tree
from tests.support.params import SMALL_FILES, Changes
from tests.support.project import Project

# Of the 345 classes, with their published labels.
CLASSES = {"bee": 21, "syringe": 298, "t-shirt": 308, "zebra": 344}
STREAM: Changes = {
    **SMALL_FILES,
    "dataset": "domainnet",
    "scenario": "domain",
    "num_tasks": 2,
    "data.root": "domainnet",
    "data.domains": ["real", "painting"],
}


def publish(root: Path) -> None:
    """Write six images of each class and domain, and the lists: four to train on, two to test.

    As published, painting_train.txt has no t-shirt, and the cleaned painting_test.txt no syringe.
    """
    absent = {("painting", "train", "t-shirt"), ("painting", "test", "syringe")}
    images = iter(embedded(6 * len(CLASSES) * 3))
    for domain in ("clipart", "painting", "real"):
        lists: dict[str, list[str]] = {"train": [], "test": []}
        for name, label in CLASSES.items():
            for number in range(1, 7):
                place = f"{domain}/{name}/{domain}_{label + 1:03}_{number:06}.jpg"
                save(root / place, next(images))
                part = "train" if number <= 4 else "test"
                if (domain, part, name) not in absent:
                    lists[part].append(f"{place} {label}\n")
        for part, lines in lists.items():
            (root / f"{domain}_{part}.txt").write_text("".join(lines))


@pytest.fixture
def project(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.delenv("DVC_ROOT", raising=False)
    project.set(STREAM)
    return project


def test_domainnet_as_published_runs_end_to_end_and_says_what_is_missing_where(
    project: Project,
) -> None:
    publish(project.root / "domainnet")
    project.make_repository()
    assert "data: 28 training and 14 test images" in project.must("check")
    project.run_all(2)
    real, painting = read_split(1), read_split(2)
    assert list(real.class_names) == list(painting.class_names) == [*CLASSES]
    assert (len(painting.train), len(painting.test)) == (12, 6)
    report = Path("reports/report.md").read_text()
    gaps = "Task 2 (painting) has no training images of t-shirt and no test images of syringe."
    assert f"There are 4 classes: bee, syringe, t-shirt, zebra. {gaps}" in " ".join(report.split())
    assert gaps in Path("reports/report.html").read_text()
    rows = json.loads(layout.EVALUATIONS.read_text())["rows"]
    for row in rows:
        assert row["class_names"] == [*CLASSES]
        for probe in row["probes"].values():
            # Agnostic: of all six images of painting. Aware: of those whose class painting has
            # to learn from, the four bees and zebras.
            assert probe["task_agnostic"]["2"] * 6 / 100 == pytest.approx(
                round(probe["task_agnostic"]["2"] * 6 / 100)
            )
            assert probe["task_aware"]["2"] * 4 / 100 == pytest.approx(
                round(probe["task_aware"]["2"] * 4 / 100)
            )


def test_class_folders_of_ones_own_may_lack_classes_likewise(project: Project) -> None:
    parts = {"train": 4, "test": 2}
    names = ("bee", "syringe", "t-shirt", "zebra")
    counts = {f"photos/{p}/oil/{name}": n for p, n in parts.items() for name in names}
    counts |= {f"photos/{p}/ink/{name}": n for p, n in parts.items() for name in names[:3]}
    del counts["photos/train/ink/t-shirt"], counts["photos/test/ink/syringe"]
    tree(project.root, counts)
    project.set({"dataset": "image_folder", "data.root": "photos", "data.domains": ["oil", "ink"]})
    project.run_all(2)
    report = " ".join(Path("reports/report.md").read_text().split())
    assert (
        "There are 4 classes: bee, syringe, t-shirt, zebra. Task 2 (ink) lacks zebra, and has no "
        "training images of t-shirt and no test images of syringe."
    ) in report
