"""``cassle report``: the page from a finished run, alone and beside another."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import webbrowser
from pathlib import Path

import pytest

from pipeline import layout
from pipeline.artifacts.split import fingerprint_stream, read_splits
from pipeline.errors import RunError
from pipeline.files.sealed_json import read_sealed, write_sealed
from pipeline.reporting.task_contents import identify_tasks
from tests.support.project import Project

PAGE, COMPARISON = Path("reports/report.html"), Path("reports/against.html")


@pytest.fixture
def project(project: Project) -> Project:
    project.set({"num_tasks": 2})
    project.finished(2)
    return project


def git(*arguments: str) -> None:
    identity = ("-c", "user.name=t", "-c", "user.email=t@t")
    subprocess.run(["git", *identity, *arguments], check=True, capture_output=True)


def commit_run(**changes: object) -> None:
    """Commit the results as a run that others can read."""
    splits = read_splits(2)
    slot = json.loads(layout.plan("report").read_text())
    tasks = {"data": fingerprint_stream(splits), "splits": identify_tasks(splits)}
    run = {"format": 1, "params": slot["params"], **tasks}
    Path("reports/run.json").write_text(json.dumps(run | changes))
    git("init", "--quiet", "--initial-branch=main")
    git("add", "reports")
    git("commit", "-qm", "Run")


def test_the_report_writes_the_page_and_opens_it_when_asked(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda url: opened.append(url) or True)
    project.must("report")
    first = PAGE.read_bytes()
    assert first.count(b"<img") == 2
    assert opened == []
    project.must("report", "--open")
    assert opened == [PAGE.resolve().as_uri()]
    assert PAGE.read_bytes() == first
    assert not COMPARISON.exists()


def test_without_a_browser_the_report_says_where_the_page_is(
    project: Project, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda url: False)
    project.must("report", "--open")
    assert f"no browser could be opened; the page is {PAGE.resolve()}" in caplog.text


def test_another_run_goes_on_a_page_of_its_own(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda url: opened.append(url) or True)
    slot = json.loads(layout.plan("report").read_text())
    commit_run(params=slot["params"] | {"strategy": "finetune"})
    project.must("report")
    before = PAGE.read_bytes()
    for name in ("main", "HEAD"):
        project.must("report", "--against", name, "--open")
        assert PAGE.read_bytes() == before
        assert f"this run is above {name}".encode() in COMPARISON.read_bytes()
    assert opened == [COMPARISON.resolve().as_uri()] * 2


def test_a_dvc_experiment_is_known_by_its_name(project: Project) -> None:
    commit_run()
    git("update-ref", "refs/exps/ab/cdef/tall-hat", "HEAD")
    project.must("report", "--against", "tall-hat")
    assert b"Both runs have the same params" in COMPARISON.read_bytes()


def test_a_run_that_cannot_stand_beside_this_one_is_refused(project: Project) -> None:
    commit_run(data={"train": "0", "test": "0"})
    git("tag", "other-images")
    slot = json.loads(layout.plan("report").read_text())
    commit_run(params=slot["params"] | {"split_seed": 7}, splits="s")
    git("tag", "other-tasks")
    commit_run(params=slot["params"] | {"class_order": [1, 0]}, splits="s")
    git("tag", "other-order")
    stream = slot["params"]["stream"] | {"blurred": 0.5}
    commit_run(params=slot["params"] | {"stream": stream}, splits="s")
    git("tag", "other-cut")
    commit_run(splits="s")
    git("tag", "other-deal")
    commit_run(format=0)
    git("tag", "old")
    git("rm", "-q", "--cached", "reports/run.json")
    git("commit", "-qm", "No run")
    git("tag", "no-run")
    for name, said in {
        "other-images": "it was made of other images",
        "other-tasks": "its split_seed is 7, here it is 0",
        "other-order": "its class_order is [1, 0], here it is None",
        "other-cut": "its stream.blurred is 0.5, here it is 0.0",
        "other-deal": "its tasks hold other images",
        "old": "run.json has format 0, expected 2",
        "no-run": "no reports/run.json in no-run",
        "nothing": "'nothing' is no git revision, branch or DVC experiment here",
        "--all": "'--all' is no git revision",
    }.items():
        code, _, err = project.cassle("report", f"--against={name}")
        assert code == 2
        assert said in err
        assert not COMPARISON.exists()


def test_the_same_tasks_in_other_words_can_stand_beside_this_run(project: Project) -> None:
    slot = json.loads(layout.plan("report").read_text())
    order = [split.class_names for split in read_splits(2)]
    commit_run(params=slot["params"] | {"class_order": order, "split_seed": 7})
    project.must("report", "--against", "main")
    assert b"class_order" in COMPARISON.read_bytes()


def test_images_may_lie_elsewhere(project: Project) -> None:
    splits = read_splits(2)
    moved = [dataclasses.replace(split, root="/elsewhere") for split in splits]
    assert identify_tasks(moved) == identify_tasks(splits)


def test_tasks_learnt_at_once_are_those_learnt_in_turn(project: Project) -> None:
    in_turn = identify_tasks(read_splits(2))
    project.set({"num_tasks": 2, "strategy": "offline"})
    project.must("plan")
    project.must("prepare")
    assert read_splits(2)[0].others is not None
    assert identify_tasks(read_splits(2)) == in_turn


def test_views_of_another_plan_are_refused(project: Project) -> None:
    slot = read_sealed(layout.plan("report"), RunError, "")
    assert slot is not None
    write_sealed(layout.plan("report"), slot | {"views": "0"})
    code, _, err = project.cassle("report", "--planned")
    assert code == 2
    assert "data/views.png is of another plan" in err


def test_the_plan_knows_the_template(project: Project) -> None:
    templates = json.loads(layout.plan("report").read_text())["templates"]
    assert set(templates) == {"page.html", "page.css", "head.html"}
    assert all(len(value) == 64 for value in templates.values())
