"""Bad input: one clear message, exit code 2, no traceback, and no file touched."""

from __future__ import annotations

import gzip
import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pipeline import layout
from pipeline.artifacts.split import read_split
from pipeline.config import stage_code
from pipeline.config.fingerprint import code_fingerprint
from tests.support.params import ROOT, Changes
from tests.support.project import Project


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "simcrl"}, "method: 'simcrl' is unknown; did you mean 'simclr'?"),
        ({"dataset": "fashion"}, "dataset: 'fashion' is unknown"),
        ({"strategy": "casle"}, "did you mean 'cassle'? one of: finetune, cassle"),
        ({"num_tasks": 0}, "num_tasks: input should be greater than or equal to 1, got 0"),
        ({"num_tasks": 11}, "num_tasks must be at most 10, the classes of"),
        ({"num_tasks": 1001}, "num_tasks: input should be less than or equal to 1000, got 1001"),
        ({"num_tasks": 2.5}, "num_tasks: input should be a valid integer, got 2.5"),
        ({"distill_weight": -1}, "greater than or equal to 0, got -1"),
        ({"distill_weight": math.nan}, "distill_weight: input should be"),
        ({"distill_weight": "one"}, "valid number, got 'one'"),
        ({"augment.flip": [0.5, 2]}, "augment.flip.1: input should be less than or equal to 1"),
        ({"train.epochs": 99999999999999999999}, "train.epochs: input should be less"),
        ({"augment.flip": True}, "augment.flip: input should be a valid number, got True"),
        ({"augment.crop_scale": [0.9, 0.2]}, "augment.crop_scale must rise"),
        ({"train.warmup_epochs": 2}, "train.warmup_epochs must be below epochs (2)"),
        ({"linear_eval.milestones": [3]}, "linear_eval.milestones must be below epochs (3)"),
        ({"evaluation.headline": "svm"}, "evaluation.headline: 'svm' is not among"),
        ({"evaluation.probes": ["linear", "sover", "knn", "nearest_mean", "few_labels"]}, "'sover' is unknown; did you mean 'solver'?"),
        ({"evaluation.probes": ["linear", "linear", "solver", "knn", "nearest_mean", "few_labels"]}, "evaluation.probes: 'linear' is there twice"),
        ({"evaluation.probes": []}, "evaluation.probes: list should"),
        ({"evaluation.solver.l2": 0}, "evaluation.solver.l2: input should be greater than 0, got 0"),
        ({"evaluation.knn.k": 0}, "evaluation.knn.k: input should be greater than or equal to 1, got 0"),
        ({"evaluation.knn.k": 2.5}, "evaluation.knn.k: input should be a valid integer, got 2.5"),
        ({"evaluation.knn.temperature": 0}, "evaluation.knn.temperature: input should be"),
        ({"evaluation.few_labels.labels": 0}, "evaluation.few_labels.labels: input should be"),
        ({"evaluation.few_labels.labels": 0.0}, "evaluation.few_labels.labels: input should be greater than 0"),
        ({"evaluation.few_labels.labels": 1.5}, "evaluation.few_labels.labels: input should be less than 1"),
        ({"evaluation.few_labels.labels": True}, "evaluation.few_labels.labels: input should be a valid integer"),
        ({"evaluation.few_labels.labels": "few"}, "evaluation.few_labels.labels: input should be a valid number"),
        ({"backbone.name": "resnet"}, "backbone.name: 'resnet' is unknown"),
    ],
)  # fmt: skip
def test_params_that_cannot_work_are_refused_in_one_line(
    project: Project, change: Changes, message: str
) -> None:
    project.set(change)
    assert message in project.refuses("plan")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("distill_weight:", "distil_weight:", "did you mean 'distill_weight'?"),
        ("\n  flip:", "\n  filp:", "'filp' in augment is unknown; did you mean 'flip'?"),
        ("\nseed: 0", "\nseed: 0x" + "f" * 9000, "got a number of more than 60 digits"),
        ("blocks: 1", "blocks: [" + "1, " * 99 + "1]", "..."),
        ("\n  solver:\n    l2: 0.01", "\n  linear:\n    l2: 0.1", "'linear' in evaluation is unknown"),
        ("\n  solver:\n    l2: 0.01", "", "evaluation.solver is missing; add its options: l2"),
        ("\n  small_resnet:", "\n  resnet18:", "'resnet18' in backbone is unknown"),
        ("dataset: fashion_mnist\n", "", "dataset is missing"),
        ("\nseed: 0", "\nseed: 0\nseed: 1", 'found duplicate key "seed"'),
        ("data:\n", "data: {\n", "is not valid YAML"),
    ],
)  # fmt: skip
def test_a_params_file_that_cannot_work_is_refused_in_one_line(
    old: str, new: str, message: str, project: Project
) -> None:
    text = layout.PARAMS.read_text()
    assert text.count(old) == 1
    layout.PARAMS.write_text(text.replace(old, new))
    assert message in project.refuses("plan")


@pytest.mark.parametrize(
    "key",
    [
        "class_order",
        "data.classes",
        "data.class_list",
        "data.domains",
        "data.folders",
        "data.holdout_group",
        "data.labelled_root",
        "data.root",
        "evaluation.transfer",
        "backbone.weights",
    ],
)
def test_halves_of_characters_are_refused_wherever_a_text_can_stand(
    key: str, project: Project
) -> None:
    project.set({key: "HERE"})
    text = layout.PARAMS.read_text()
    line = text[: text.index("HERE")].count("\n") + 1
    for value in ("a\ud800", ["a\ud800", "b"]):
        layout.PARAMS.write_text(text.replace("HERE", json.dumps(value)))
        message = project.refuses("plan")
        assert f"params.yaml is not valid YAML: line {line}: 'a\\ud800' holds" in message
        assert message.endswith("half of a character; write the character itself")


def test_every_problem_has_its_own_line(project: Project) -> None:
    project.set({"num_tasks": "x", "augment.flip": 2})
    code, _, err = project.cassle("plan")
    assert code == 2
    assert len(err.strip().splitlines()) == 2


def test_a_missing_params_file_is_named(project: Project) -> None:
    assert "elsewhere.yaml is missing" in project.refuses("check", "--params", "elsewhere.yaml")


def test_an_empty_params_file_is_refused(project: Project) -> None:
    Path("params.yaml").write_text("")
    assert "must hold keys and values" in project.refuses("plan")


def test_a_missing_data_folder_is_named(project: Project) -> None:
    project.set({"data.root": "nowhere"})
    project.must("plan")
    assert "the folder 'nowhere' is missing" in project.refuses("prepare")


def test_a_truncated_file_is_named(project: Project) -> None:
    path = Path("data/fashion_mnist/train-images-idx3-ubyte.gz")
    path.write_bytes(path.read_bytes()[:-100])
    project.must("plan")
    assert f"{path} is truncated or damaged" in project.refuses("prepare")


def test_images_that_changed_since_the_split_are_noticed(project: Project) -> None:
    project.trained(0)
    path = Path("data/fashion_mnist/train-images-idx3-ubyte.gz")
    whole = gzip.decompress(path.read_bytes())

    def change(image: int) -> None:
        content = bytearray(whole)
        content[16 + (image + 1) * 28 * 28 - 1] ^= 255
        path.write_bytes(gzip.compress(content, mtime=0))

    for task in (1, 2):
        change(int(read_split(task).train[-1]))
        said = f"the train images of task {task} in data/fashion_mnist changed since the split"
        assert said in project.refuses("evaluate", "0")
        if task == 1:
            assert said in project.refuses("train", "1")
        else:
            project.must("train", "1")  # which reads the images of its own task alone
            assert said in project.refuses("train", "2")


def test_the_full_set_without_a_network_says_what_to_put_where(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import FashionMNIST

    def offline(self: FashionMNIST) -> None:
        raise RuntimeError("no network")

    monkeypatch.setattr(FashionMNIST, "download", offline)
    project.set({"data.full": True, "data.root": "data/raw"})
    project.must("plan")
    message = project.refuses("prepare")
    assert "train-images-idx3-ubyte.gz" in message
    assert "FashionMNIST/raw" in message


def test_a_task_waits_for_the_one_before(project: Project) -> None:
    project.trained(1)
    assert "task_2.safetensors is missing; run `cassle train 2` first" in project.refuses(
        "train", "3"
    )


def test_training_before_anything_asks_for_the_plan(project: Project) -> None:
    assert "run `cassle plan` first" in project.refuses("train", "1")
    assert "run `cassle plan` first" in project.refuses("train", "1", "--planned")


def test_a_state_of_another_backbone_is_refused(project: Project) -> None:
    project.trained(1)
    foreign = layout.state(1).read_bytes()
    project.set({"backbone.small_resnet.widths": [4, 6]})
    project.train_through(1)
    layout.state(1).write_bytes(foreign)
    assert "has another backbone than the plan" in project.refuses("train", "2")
    assert "has another backbone than the plan" in project.refuses("evaluate", "1")


def test_a_state_made_with_other_params_is_refused(project: Project) -> None:
    project.trained(1)
    project.set({"augment.crop_scale": [0.3, 1.0]})
    project.must("plan")
    said = "task_1.safetensors has another set of params than the plan"
    assert said in project.refuses("train", "2")


def test_a_state_of_another_seed_or_version_of_the_code_is_refused_with_the_reason(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.trained(1)
    project.set({"seed": 1})
    project.must("plan")
    for command in (("train", "2"), ("evaluate", "1")):
        assert "has another seed than the plan: got 0, expected 1" in project.refuses(*command)
    project.set({"seed": 0})
    monkeypatch.setattr(
        stage_code, "code_fingerprint", lambda *modules: code_fingerprint(*modules)[::-1]
    )
    project.must("plan")
    project.must("prepare")
    for command in (("train", "1"), ("train", "2"), ("evaluate", "1")):
        said = project.refuses(*command)
        assert "has another version of the code than the plan: got " in said


def test_params_edited_after_the_plan_are_noticed(project: Project) -> None:
    project.trained(0)
    project.set({"augment.crop_scale": [0.3, 1.0]})
    assert "is not what the params and the code say now" in project.refuses("train", "1")


def test_splits_of_another_plan_are_refused(project: Project) -> None:
    project.trained(1)
    project.set({"split_seed": 1})
    project.must("plan")
    for command in (("train", "1"), ("evaluate", "1"), ("evaluate", "0")):
        assert "are of another plan; run `cassle prepare` first" in project.refuses(*command)
    project.must("prepare")
    assert "has another split than the plan" in project.refuses("evaluate", "1")


def test_a_report_of_another_plan_is_refused(project: Project) -> None:
    project.finished(3)
    project.set({"distill_weight": 0.5})
    project.must("plan")
    assert "evaluations.json is of another plan" in project.refuses("report")


def test_a_linear_evaluation_that_diverges_is_no_accuracy(project: Project) -> None:
    # Weights grow a millionfold a step: float32 overflows within the first epoch.
    project.set(
        {
            "linear_eval.learning_rate": 1000,
            "linear_eval.weight_decay": 1000,
            "linear_eval.batch_size": 4,
        }
    )
    project.trained(0)
    assert "weights that are not finite" in project.refuses("evaluate", "0")


@pytest.mark.parametrize(
    "change", [{"evaluation.knn.k": 161}, {"evaluation.few_labels.labels": 17}]
)
def test_a_probe_that_asks_for_more_images_than_there_are_takes_all(
    project: Project, change: Changes
) -> None:
    """After all training is no time to say that a param is too large."""
    project.set(change)
    project.trained(0)
    project.must("evaluate", "0")


def test_a_probe_that_does_not_fit_the_images_says_so(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.evaluation import solver

    monkeypatch.setattr(solver, "MAX_ITERATIONS", 5)
    project.set({"evaluation.solver.l2": 1e-300})
    project.trained(0)
    found = project.refuses("evaluate", "0")
    assert "task_0.safetensors" in found
    assert "the solver did not converge in 5 iterations" in found


def test_the_full_set_does_not_land_in_the_folder_of_the_subset(project: Project) -> None:
    Path("data/fashion_mnist/SHA256SUMS").write_text("")
    project.set({"data.full": True})
    project.must("plan")
    assert "holds the subset, and data.full is true" in project.refuses("prepare")


def test_check_compares_the_batch_with_the_smallest_task(project: Project) -> None:
    project.set({"train.batch_size": 49})
    assert "is above the 48 images of task 2, the smallest" in project.refuses("check")


def test_a_task_above_num_tasks_is_refused_outside_dvc(project: Project) -> None:
    project.trained(0)
    above = "; name one from 1 to 3"
    refused = project.refuses("train", "4")
    assert "data/plan/train_4.json is missing" in refused
    assert refused.endswith(above), "another `cassle plan` would not help"
    shutil.copy(ROOT / layout.CHAIN, layout.CHAIN)
    for stage in ("plan", "prepare"):
        project.must(stage)
    assert "train_4 is above num_tasks" in project.refuses("train", "4")
    refused = project.refuses("train", "6")
    assert "data/plan/train_6.json is missing" in refused
    assert refused.endswith(above)


def test_a_state_that_is_not_in_the_plan_is_refused_before_any_work(project: Project) -> None:
    project.trained(0)
    refused = "error: there is no state 4 in the plan; name one from 0 to 3"
    assert project.refuses("evaluate", "4") == refused
    assert project.refuses("evaluate", "4", "--planned") == refused
    assert project.refuses("export", "4", "--output", "out") == refused


def test_fewer_slots_than_tasks_are_refused(project: Project) -> None:
    shutil.copy(ROOT / layout.CHAIN, layout.CHAIN)
    said = "and the params have 3 tasks; give 3 or more, or lower num_tasks first"
    assert project.refuses("slots", "2") == f"error: slots: got 2, {said}"
    # Tasks that are counted, not given.
    folders = {"dataset": "image_folder", "scenario": "folders", "data.root": "stream"}
    project.set({**folders, "num_tasks": None})
    for name in "abc":
        (project.root / "stream" / name / "cat").mkdir(parents=True)
    assert project.refuses("slots", "2") == f"error: slots: got 2, {said}"
    project.set({"data.root": "to_come"})
    project.must("slots", "2")


def test_more_tasks_than_dvc_yaml_has_slots_for_are_refused(project: Project) -> None:
    shutil.copy(ROOT / layout.CHAIN, layout.CHAIN)
    project.set({"num_tasks": 6})
    project.make_repository()
    for command in ("plan", "check"):
        said = project.refuses(command)
        assert "num_tasks is 6, and dvc.yaml has slots for 5 tasks; run `cassle slots 6`" in said


def test_a_batch_larger_than_a_task_is_refused(project: Project) -> None:
    project.set({"train.batch_size": 65})
    project.trained(0)
    assert "fewer than train.batch_size (65)" in project.refuses("train", "1")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused(project: Project) -> None:
    project.trained(0)
    for command in (("check",), ("train", "1"), ("evaluate", "0")):
        assert "--device cuda is not available here" in project.refuses(
            *command, "--device", "cuda"
        )


def test_check_wants_a_git_and_a_dvc_repository(project: Project) -> None:
    assert "is in no git repository" in project.refuses("check")
    project.make_repository()
    Path(".dvc").rmdir()
    assert "is in no DVC repository" in project.refuses("check")
    Path(".dvc").mkdir()
    assert "repository: git and DVC" in project.must("check")


def test_an_unknown_option_or_task_exits_with_2(project: Project) -> None:
    for command in (
        ("train", "1", "--lr", "3"),
        ("train", "1001"),
        ("train", "0"),
        ("evaluate", "1001"),
        ("evaluate", "-1"),
        ("views",),
        ("train", "one"),
        ("frobnicate",),
    ):
        code, _, err = project.cassle(*command)
        assert code == 2
        assert "Traceback" not in err


def test_list_names_what_params_can_name(project: Project) -> None:
    assert "simclr" in project.must("list", "methods")
    assert "cassle" in project.must("list", "strategies")
    assert "fashion_mnist" in project.must("list", "datasets")
    assert "resnet50" in project.must("list", "backbones")
    assert "nearest_mean" in project.must("list", "probes")


def test_the_shipped_params_are_valid(project: Project) -> None:
    project.must("plan", "--params", str(ROOT / "params.yaml"))


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_outputs_end_nothing(closed: str, project: Project) -> None:
    command = f"{sys.executable} -m pipeline list methods {closed}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
