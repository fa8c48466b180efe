"""The evaluation of all states: what is evaluated again, and what is kept from before."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from pipeline import layout
from pipeline.artifacts.evaluation import Evaluation, find_evaluations
from pipeline.files.sealed_json import seal, write_json
from pipeline.models.small_resnet import SmallResNet
from pipeline.stages import evaluate_states
from pipeline.stages.evaluate_states import StateEvaluator
from tests.support.params import ROOT
from tests.support.project import CLASSES, PER_CLASS, Project

OUTPUTS = (layout.EVALUATIONS, layout.FEATURES, layout.ENCODER, layout.VIEWS)
IMAGES = CLASSES * (PER_CLASS["train"] + PER_CLASS["t10k"])


@pytest.fixture
def project(project: Project) -> Project:
    """A run of two tasks that is evaluated."""
    project.set({"num_tasks": 2, "evaluation.probes": ["linear", "knn"]})
    project.finished(2)
    return project


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    return Work(monkeypatch)


class Work:
    """What an evaluation does: the states it evaluates, and the images it extracts features of."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.states: list[int] = []
        self.images = 0
        forward, evaluate = SmallResNet.forward, StateEvaluator.evaluate

        def counted(network: SmallResNet, images: Tensor) -> Tensor:
            self.images += len(images)
            return forward(network, images)

        def noted(evaluator: StateEvaluator, task: int, *rest: Any) -> tuple[Evaluation, list[str]]:
            self.states.append(task)
            return evaluate(evaluator, task, *rest)

        monkeypatch.setattr(SmallResNet, "forward", counted)
        monkeypatch.setattr(StateEvaluator, "evaluate", noted)


def contents() -> list[bytes]:
    return [path.read_bytes() for path in OUTPUTS]


def rows() -> dict[int, Evaluation]:
    found = find_evaluations()
    return {} if found is None else found.by_state()


def forget_outputs() -> None:
    for path in OUTPUTS:
        path.unlink()


def kept(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def test_evaluating_twice_writes_the_same_bytes_and_evaluates_nothing_again(
    project: Project, work: Work
) -> None:
    before = contents()
    project.must("evaluate")
    assert contents() == before
    assert (work.states, work.images) == ([], 0)


def test_evaluating_twice_imports_no_torch_the_second_time(project: Project) -> None:
    before = contents()
    code = "import sys; sys.argv = ['cassle', 'evaluate', '--planned']\n"
    code += "from pipeline.cli.main import main; main.__globals__['sys'] = sys\n"
    code += "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code, stop.code\n"
    code += "print('torch' in sys.modules, 'pipeline.stages.evaluate' in sys.modules)"

    def evaluate() -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    assert evaluate() == ["False", "True"]
    assert contents() == before
    # It is imported where something is to be drawn or evaluated.
    layout.VIEWS.unlink()
    assert evaluate() == ["True", "True"]
    assert contents() == before


def test_without_what_was_kept_the_same_bytes_are_written(project: Project, work: Work) -> None:
    before = contents()
    shutil.rmtree(layout.SCRATCH)
    project.must("evaluate")
    assert contents() == before, "the evaluations that are here are enough"
    assert work.states == []
    shutil.rmtree(layout.SCRATCH)
    forget_outputs()
    project.must("evaluate")
    assert contents() == before
    assert work.states == [0, 1, 2]
    assert work.images == 3 * IMAGES


def test_without_its_outputs_an_evaluation_comes_from_what_was_kept(
    project: Project, work: Work
) -> None:
    before = contents()
    forget_outputs()
    project.must("evaluate")
    assert contents() == before
    assert (work.states, work.images) == ([], 0)


def test_a_state_is_extracted_once_for_all_probes_and_for_the_state_after_it(
    project: Project, work: Work
) -> None:
    shutil.rmtree(layout.SCRATCH)
    layout.EVALUATIONS.unlink()
    project.must("evaluate")
    assert work.images == 3 * IMAGES


def test_another_option_of_a_probe_fits_it_again_and_extracts_nothing(
    project: Project, work: Work
) -> None:
    before = rows()
    project.set({"evaluation.knn.k": 1, "evaluation.knn.temperature": 0.5})
    project.must("plan")
    project.must("evaluate")
    after = rows()
    assert (work.states, work.images) == ([0, 1, 2], 0)
    for task in range(3):
        assert after[task].probes["linear"] == before[task].probes["linear"]
        assert (after[task].rank, after[task].cka) == (before[task].rank, before[task].cka)
    assert [after[t].probes["knn"] for t in range(3)] != [before[t].probes["knn"] for t in range(3)]
    shutil.rmtree(layout.SCRATCH)
    fitted = contents()
    forget_outputs()
    project.must("evaluate")
    assert contents() == fitted, "features that were kept give what new ones give"


def test_only_the_states_that_changed_are_evaluated_again(project: Project, work: Work) -> None:
    before = rows()
    project.set({"distill_weight": 0.25})
    project.must("plan")
    project.must("train", "2")
    work.images = 0
    project.must("evaluate")
    after = rows()
    assert work.states == [2]
    assert work.images == IMAGES
    assert [after[task] == before[task] for task in range(3)] == [True, True, False]
    assert after[2].state != before[2].state
    project.set({"distill_weight": 1.0})
    project.must("plan")
    project.must("train", "2")
    work.images = 0
    project.must("evaluate")
    assert (work.states, work.images) == ([2], 0), "the first evaluation is found again"
    assert rows() == before


def test_other_images_are_evaluated_anew(project: Project, work: Work) -> None:
    before = rows()
    project.set({"split_seed": 1})
    project.train_through(2)
    work.images = 0
    project.must("evaluate")
    # The random network is the same; its tasks hold other images.
    assert (work.states, work.images) == ([0, 1, 2], 3 * IMAGES)
    after = rows()
    assert after[0].state == before[0].state
    assert after[0].key != before[0].key
    assert after[0].accuracy != before[0].accuracy


def damage_middle(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def of_another_state(path: Path) -> None:
    """Put the row of another state in a row's place, whole and sealed."""
    others = [other for other in kept(layout.ROWS) if other.read_bytes() != path.read_bytes()]
    path.write_bytes(others[0].read_bytes())


def without_a_key(path: Path) -> None:
    held = json.loads(path.read_text())
    write_json(path, seal({key: held[key] for key in held if key not in ("accuracy", "sha256")}))


@pytest.mark.parametrize(
    "damage",
    [
        damage_middle,
        lambda path: path.write_bytes(path.read_bytes()[:-20]),
        lambda path: path.write_text("null\n"),
        of_another_state,
        without_a_key,
    ],
    ids=["flipped", "cut", "null", "another", "incomplete"],
)
def test_a_damaged_row_is_not_used(
    damage: Callable[[Path], object], project: Project, work: Work
) -> None:
    before = contents()
    (last,) = (
        path for path in kept(layout.ROWS) if json.loads(path.read_text())["after_task"] == 2
    )
    whole = last.read_bytes()
    damage(last)
    assert last.read_bytes() != whole
    forget_outputs()
    project.must("evaluate")
    assert contents() == before
    assert work.states == [2]
    assert work.images == 0
    assert last.read_bytes() == whole, "it is mended"


def test_damaged_features_are_not_used(project: Project, work: Work) -> None:
    before = contents()
    files = kept(layout.EXTRACTED)
    # Of three states, for two tasks, of two parts each.
    assert len(files) == 3 * 2 * 2
    whole = {path: path.read_bytes() for path in files}
    for path in files:
        damage_middle(path)
    shutil.rmtree(layout.ROWS)
    forget_outputs()
    project.must("evaluate")
    assert contents() == before
    assert work.images == 3 * IMAGES
    assert {path: path.read_bytes() for path in files} == whole, "they are mended"


@pytest.mark.parametrize("damage", [damage_middle, Path.unlink])
def test_outputs_that_are_damaged_or_gone_are_written_again(
    damage: Callable[[Path], object], project: Project
) -> None:
    before = contents()
    for path in OUTPUTS:
        damage(path)
        project.must("evaluate")
        assert contents() == before, path


def test_one_state_is_evaluated_alone_and_the_others_stay(project: Project, work: Work) -> None:
    before = contents()
    project.must("evaluate", "1")
    assert contents() == before
    assert work.states == []
    forget_outputs()
    for task in (0, 2, 1):
        project.must("evaluate", str(task))
        assert task in rows()
    assert contents() == before, "one by one they are what all at once are"


def test_one_state_is_evaluated_where_later_ones_are_not_there(project: Project) -> None:
    layout.state(2).unlink()
    forget_outputs()
    project.must("evaluate", "1")
    assert list(rows()) == [0, 1], "that of the random network was kept"
    assert not layout.FEATURES.exists(), "they are those of the last state"
    code, _, err = project.cassle("report")
    assert code == 2
    assert "data/evaluations.json lacks the evaluation of a state; run `cassle evaluate`" in err
    code, _, err = project.cassle("evaluate")
    assert code == 2
    assert "data/states/task_2.safetensors is missing; run `cassle train 2` first" in err


def test_a_state_of_which_only_others_are_of_this_plan_is_not_reported(project: Project) -> None:
    project.set({"evaluation.knn.k": 1})
    project.must("plan")
    project.must("evaluate", "2")
    code, _, err = project.cassle("report")
    assert code == 2, "the rows of the other states are of the plan before"
    assert "run `cassle evaluate`" in err


def test_a_state_of_another_plan_is_refused_even_if_its_features_were_kept(
    project: Project,
) -> None:
    project.set({"seed": 1})
    project.must("plan")
    before = contents()
    code, _, err = project.cassle("evaluate")
    assert code == 2
    assert "has another seed than the plan: got 0, expected 1" in err
    assert contents() == before


def goes_on_after(project: Project, work: Work, count: int, expected: list[bytes]) -> None:
    """Check that so many states are kept of an evaluation that ended, and the others follow."""
    assert not layout.EVALUATIONS.exists()
    assert len(kept(layout.ROWS)) == count
    work.states.clear()
    project.must("evaluate")
    assert work.states == [0, 1, 2][count:]
    assert contents() == expected


def test_an_error_keeps_what_was_evaluated_before_it(
    project: Project, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents()
    shutil.rmtree(layout.ROWS)
    forget_outputs()
    compare = StateEvaluator._compare

    def fail(evaluator: StateEvaluator, task: int, *rest: Any) -> Any:
        if task == 2:
            raise MemoryError("a kernel")
        return compare(evaluator, task, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(StateEvaluator, "_compare", fail)
        code, _, err = project.cassle("evaluate")
    assert code == 2
    assert "out of memory" in err
    goes_on_after(project, work, 2, before)


def test_a_signal_keeps_what_was_evaluated_before_it(
    project: Project, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents()
    shutil.rmtree(layout.ROWS)
    forget_outputs()

    def stop(*given: object) -> Any:
        raise SystemExit(143)

    with monkeypatch.context() as patch:
        patch.setattr(evaluate_states, "linear_cka", stop)
        assert project.cassle("evaluate")[0] == 143
    goes_on_after(project, work, 1, before)


def test_the_lines_of_an_evaluation_name_each_task_and_each_time(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.rmtree(layout.ROWS)
    forget_outputs()
    with caplog.at_level("INFO"):
        project.must("evaluate")
    for task in range(3):
        accuracy = rows()[task].accuracy
        assert (
            f"after task {task}, probe linear: task 1 {accuracy['1']:.1f} %, "
            f"task 2 {accuracy['2']:.1f} %" in caplog.text
        )
    assert caplog.text.count("seconds: features ") == 3


def test_what_is_kept_is_listed_and_can_be_removed(project: Project, work: Work) -> None:
    said = project.must("clean")
    assert "features of states, to evaluate no state twice" in said
    assert "evaluations of states, to evaluate no state twice" in said
    assert kept(layout.EXTRACTED), "without --all it stays"
    before = contents()
    project.must("clean", "--all", "--yes")
    assert not layout.EXTRACTED.exists()
    assert not layout.ROWS.exists()
    forget_outputs()
    project.must("evaluate")
    assert contents() == before
    assert work.images == 3 * IMAGES


@pytest.fixture(autouse=True)
def _in_its_own_checkout(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("DVC_ROOT", raising=False)
    yield
