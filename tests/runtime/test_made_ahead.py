"""Outputs of later stages that an earlier stage computes in advance."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from pipeline import layout
from pipeline.artifacts.plans.evaluate import EvaluatePlan
from pipeline.errors import RunError
from pipeline.files.sealed_json import read_sealed, write_sealed
from pipeline.runtime import made_ahead as ahead
from pipeline.stages import evaluate, evaluate_ahead
from tests.support.params import ROOT
from tests.support.project import Project

LATER = [("evaluate", 1), ("evaluate", 2), ("views", 0)]


@pytest.fixture
def project(project: Project) -> Project:
    project.set({"num_tasks": 2, "evaluation.probes": ["linear"]})  # fmt: skip
    project.trained(2)
    return project


def evaluate_first(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the first evaluation as DVC does."""
    under_dvc(monkeypatch, "dvc", "repro")
    project.must("evaluate", "0", "--planned")


def under_dvc(monkeypatch: pytest.MonkeyPatch, *command: str) -> None:
    monkeypatch.setattr(evaluate_ahead, "dvc_command", lambda: list(command))


def contents(stage: str, task: int) -> list[bytes]:
    return [path.read_bytes() for path in layout.outputs(stage, task)]


def test_precomputed_outputs_are_the_bytes_that_the_stages_write(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for task in (1, 2):
        project.must("evaluate", str(task), "--planned")
    project.must("views", "--planned")
    wanted = {later: contents(*later) for later in LATER}
    for later in LATER:
        for path in layout.outputs(*later):
            path.unlink()

    evaluate_first(project, monkeypatch)
    assert sorted(path.name.split("-")[0] for path in layout.AHEAD.iterdir()) == [
        "evaluate_1", "evaluate_2", "views_0",
    ]  # fmt: skip
    code = "import sys; from pipeline.runtime import empty_slots, made_ahead as ahead; given = sys.argv[1:]; "
    code += (
        "assert not empty_slots.finish_if_empty(given); assert ahead.finish_if_precomputed(given); "
    )
    code += "assert not {'torch', 'typer', 'pydantic'} & set(sys.modules)"
    for command in (["evaluate", "1"], ["evaluate", "2"], ["views"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *command, "--planned"],
            env={"PYTHONPATH": str(ROOT), "PATH": ""} | _threads(),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        if command[0] == "evaluate":
            assert f"after task {command[1]}, probe linear: task 1 " in done.stderr
            assert "seconds: features " in done.stderr
    assert {later: contents(*later) for later in LATER} == wanted
    assert not list(layout.AHEAD.iterdir())


def _threads() -> dict[str, str]:
    return {name: os.environ[name] for name in ahead.ROUNDING if name in os.environ}


def test_nothing_is_precomputed_without_dvc_or_if_outputs_exist(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.must("evaluate", "0", "--planned")
    assert not layout.AHEAD.exists()
    assert not ahead.finish_if_precomputed(["evaluate", "1", "--planned"])
    for task in (1, 2):
        project.must("evaluate", str(task), "--planned")
    under_dvc(monkeypatch, "dvc", "repro", "-s", "evaluate@0")
    project.must("evaluate", "0", "--planned")
    project.must("views", "--planned")
    evaluate_first(project, monkeypatch)
    assert not layout.AHEAD.exists()


@pytest.mark.parametrize("error", [RuntimeError("a kernel"), MemoryError(), RunError("mended by")])
def test_an_error_while_precomputing_fails_no_stage(
    error: Exception, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    score = evaluate.score

    def fail(task: int, *rest: object) -> list[str]:
        if task == 2:
            raise error
        return score(task, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(evaluate, "score", fail)
    evaluate_first(project, monkeypatch)
    assert layout.evaluation(0).is_file()
    assert not list(layout.AHEAD.glob("evaluate_0-*"))
    assert ahead.finish_if_precomputed(["evaluate", "1", "--planned"])
    assert not ahead.finish_if_precomputed(["evaluate", "2", "--planned"])


def test_a_signal_while_precomputing_keeps_finished_outputs(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    score, before = evaluate.score, []

    def stop(task: int, *rest: object) -> list[str]:
        if task == 2:
            before.append(contents("evaluate", 0))
            raise SystemExit(143)
        return score(task, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(evaluate, "score", stop)
    under_dvc(monkeypatch, "dvc", "repro")
    assert project.cassle("evaluate", "0", "--planned")[0] == 143
    for path in layout.outputs("evaluate", 0):
        path.unlink()  # as dvc does before it runs a stage
    for task in (0, 1):
        assert ahead.finish_if_precomputed(["evaluate", str(task), "--planned"])
    assert contents("evaluate", 0) == before[0]


@pytest.mark.parametrize("labelled", [False, True])
def test_an_evaluation_on_labelled_root_is_not_precomputed(
    labelled: bool, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No digest tells whether those images have changed.
    read, score, aside = evaluate_ahead.read_plan, evaluate.score, []

    def look(task: int, *rest: object) -> list[str]:
        if task:
            aside.append([path.name for path in layout.AHEAD.glob("evaluate_0-*")])
        return score(task, *rest)  # type: ignore[arg-type]

    def plan(kind: type[EvaluatePlan], name: str) -> EvaluatePlan | None:
        found = read(kind, name)
        elsewhere = labelled and found is not None and name == "evaluate_0"
        return replace(found, labelled=found.dataset) if elsewhere else found

    monkeypatch.setattr(evaluate, "score", look)
    monkeypatch.setattr(evaluate_ahead, "read_plan", plan)
    evaluate_first(project, monkeypatch)
    assert [bool(names) for names in aside] == [not labelled] * 2
    assert not list(layout.AHEAD.glob("evaluate_0-*"))


def test_existing_outputs_are_not_recomputed(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate_first(project, monkeypatch)
    (folder,) = layout.AHEAD.glob("evaluate_2-*")
    made = (folder / ahead.MANIFEST).stat().st_mtime_ns
    project.must("evaluate", "1", "--planned")
    assert (folder / ahead.MANIFEST).stat().st_mtime_ns == made
    assert "made ahead" in project.must("clean")


@pytest.mark.parametrize(
    "what", ["plan", "state", "index", "threads", "damage", "manifest", "lost"]
)
def test_precomputed_outputs_of_changed_inputs_are_not_used(
    what: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate_first(project, monkeypatch)
    (folder,) = layout.AHEAD.glob("evaluate_1-*")
    if what in ("plan", "index"):
        path = layout.plan("evaluate_1") if what == "plan" else layout.SPLIT_INDEX
        held = read_sealed(path, RunError, "")
        assert held is not None
        write_sealed(path, held | {"more": 1})
    elif what == "threads":
        monkeypatch.setenv("OMP_NUM_THREADS", "7")
    elif what == "lost":
        (folder / layout.features(1).name).unlink()
    else:
        name = {"damage": layout.evaluation(1).name, "manifest": ahead.MANIFEST}
        path = layout.state(1) if what == "state" else folder / name[what]
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    assert not ahead.finish_if_precomputed(["evaluate", "1", "--planned"])
    assert not layout.evaluation(1).exists()
    assert not layout.features(1).exists()


def test_a_state_that_cannot_be_evaluated_is_left_to_its_own_stage(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout.state(1).write_bytes(layout.state(2).read_bytes())
    evaluate_first(project, monkeypatch)
    assert not list(layout.AHEAD.glob(f"evaluate_1-*/{ahead.MANIFEST}"))
    assert not ahead.finish_if_precomputed(["evaluate", "1", "--planned"])
    code, _, err = project.cassle("evaluate", "1", "--planned")
    assert code == 2
    assert "data/states/task_1.safetensors" in err
    assert ahead.finish_if_precomputed(
        ["evaluate", "2", "--planned"]
    )  # another state, that is right
    assert json.loads(layout.evaluation(0).read_text())["after_task"] == 0


def test_leftovers_of_an_earlier_run_are_removed(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = layout.AHEAD / "evaluate_1-0123456789ab"
    stale.mkdir(parents=True)
    (stale / "task_1.json").write_text("{}\n")
    evaluate_first(project, monkeypatch)
    assert not stale.exists()
