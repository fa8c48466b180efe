"""Bad input: one clear message, exit code 2, no traceback, and no file touched."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import torch

from pipeline import layout
from pipeline.stages import plan
from tests.support.project import ROOT, Project


@pytest.fixture
def project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Project:
    return Project(tmp_path, monkeypatch, capsys)


def refuses(project: Project, *command: str) -> str:
    """Run a command that must fail cleanly; return its message."""
    before = project.files()
    code, _, err = project.cassle(*command)
    assert code == 2, err
    assert "Traceback" not in err
    assert project.files() == before
    lines = err.strip().splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("error: ")
    return lines[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"distill_weight:": "distil_weight:"}, "did you mean 'distill_weight'?"),
        ({"  flip:": "  filp:"}, "'filp' in augment is unknown; did you mean 'flip'?"),
        ({"method: simclr": "method: simcrl"}, "method: 'simcrl' is unknown; did you mean 'simclr'?"),
        ({"dataset: fashion_mnist": "dataset: fashion"}, "dataset: 'fashion' is unknown"),
        ({"strategy: cassle": "strategy: casle"}, "did you mean 'cassle'? one of: finetune, cassle"),
        ({"num_tasks: 3": "num_tasks: 0"}, "num_tasks must be from 1 to 20"),
        ({"num_tasks: 3": "num_tasks: 11"}, "num_tasks must be at most 10, the classes of"),
        ({"num_tasks: 3": "num_tasks: 21"}, "(the task slots of dvc.yaml), got 21"),
        ({"num_tasks: 3": "num_tasks: 2.5"}, "num_tasks: input should be a valid integer, got 2.5"),
        ({"distill_weight: 1.0": "distill_weight: -1"}, "greater than or equal to 0, got -1"),
        ({"distill_weight: 1.0": "distill_weight: .nan"}, "distill_weight: input should be"),
        ({"distill_weight: 1.0": 'distill_weight: "one"'}, "valid number, got 'one'"),
        ({"flip: 0.5": "flip: [0.5, 2]"}, "augment.flip.1: input should be less than or equal to 1"),
        ({"epochs: 2": "epochs: 99999999999999999999"}, "train.epochs: input should be less"),
        ({"\nseed: 0": "\nseed: 0x" + "f" * 9000}, "got a number of more than 60 digits"),
        ({"blocks: 1": "blocks: [" + "1, " * 99 + "1]"}, "..."),
        ({"flip: 0.5": "flip: true"}, "augment.flip: input should be a valid number, got True"),
        ({"[0.2, 1.0]": "[0.9, 0.2]"}, "augment.crop_scale must rise"),
        ({"warmup_epochs: 1": "warmup_epochs: 2"}, "train.warmup_epochs must be below epochs (2)"),
        ({"milestones: [2]": "milestones: [3]"}, "linear_eval.milestones must be below epochs (3)"),
        ({"headline: linear": "headline: svm"}, "evaluation.headline: 'svm' is not among"),
        ({"[linear, solver": "[linear, sover"}, "'sover' is unknown; did you mean 'solver'?"),
        ({"[linear, solver": "[linear, linear, solver"}, "evaluation.probes: 'linear' is there twice"),
        ({"[linear, solver, knn, nearest_mean, few_labels]": "[]"}, "evaluation.probes: list should"),
        ({"\n  solver:\n    l2: 0.0001": "\n  linear:\n    l2: 0.1"}, "'linear' in evaluation is unknown"),
        ({"\n  solver:\n    l2: 0.0001": ""}, "evaluation.solver is missing; add its options: l2"),
        ({"    l2: 0.0001": "    l2: 0"}, "evaluation.solver.l2: input should be greater than 0, got 0"),
        ({"    k: 20": "    k: 0"}, "evaluation.knn.k: input should be greater than or equal to 1, got 0"),
        ({"    k: 20": "    k: 2.5"}, "evaluation.knn.k: input should be a valid integer, got 2.5"),
        ({"temperature: 0.07": "temperature: 0"}, "evaluation.knn.temperature: input should be"),
        ({"labels: 0.01": "labels: 0"}, "evaluation.few_labels.labels: input should be"),
        ({"labels: 0.01": "labels: 0.0"}, "evaluation.few_labels.labels: input should be greater than 0"),
        ({"labels: 0.01": "labels: 1.5"}, "evaluation.few_labels.labels: input should be less than 1"),
        ({"labels: 0.01": "labels: true"}, "evaluation.few_labels.labels: input should be a valid integer"),
        ({"labels: 0.01": "labels: few"}, "evaluation.few_labels.labels: input should be a valid number"),
        ({"name: small_resnet": "name: resnet"}, "backbone.name: 'resnet' is unknown"),
        ({"\n  small_resnet:": "\n  resnet18:"}, "'resnet18' in backbone is unknown"),
        ({"dataset: fashion_mnist\n": ""}, "dataset is missing"),
        ({"\nseed: 0": "\nseed: 0\nseed: 1"}, 'found duplicate key "seed"'),
        ({"data:\n": "data: {\n"}, "is not valid YAML"),
    ],
)  # fmt: skip
def test_params_that_cannot_work_are_refused_in_one_line(
    project: Project, change: dict[str, str], message: str
) -> None:
    project.edit(change)
    assert message in refuses(project, "plan")


def test_every_problem_has_its_own_line(project: Project) -> None:
    project.edit({"num_tasks: 3": "num_tasks: x", "flip: 0.5": "flip: 2"})
    code, _, err = project.cassle("plan")
    assert code == 2
    assert len(err.strip().splitlines()) == 2


def test_a_missing_params_file_is_named(project: Project) -> None:
    assert "elsewhere.yaml is missing" in refuses(project, "check", "--params", "elsewhere.yaml")


def test_an_empty_params_file_is_refused(project: Project) -> None:
    Path("params.yaml").write_text("")
    assert "must hold keys and values" in refuses(project, "plan")


def test_a_missing_data_folder_is_named(project: Project) -> None:
    project.edit({"root: data/fashion_mnist": "root: nowhere"})
    project.must("plan")
    assert "the folder 'nowhere' is missing" in refuses(project, "prepare")


def test_a_truncated_file_is_named(project: Project) -> None:
    path = Path("data/fashion_mnist/train-images-idx3-ubyte.gz")
    path.write_bytes(path.read_bytes()[:-100])
    project.must("plan")
    assert f"{path} is truncated or damaged" in refuses(project, "prepare")


def test_images_that_changed_since_the_split_are_noticed(project: Project) -> None:
    project.train_through(0)
    path = Path("data/fashion_mnist/train-images-idx3-ubyte.gz")
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[-1] ^= 255
    path.write_bytes(gzip.compress(content, mtime=0))
    assert "changed since the split" in refuses(project, "train", "1")


def test_the_full_set_without_a_network_says_what_to_put_where(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import FashionMNIST

    def offline(self: FashionMNIST) -> None:
        raise RuntimeError("no network")

    monkeypatch.setattr(FashionMNIST, "download", offline)
    project.edit({"full: false": "full: true"})
    project.must("plan")
    message = refuses(project, "prepare")
    assert "train-images-idx3-ubyte.gz" in message
    assert "FashionMNIST/raw" in message


def test_a_task_waits_for_the_one_before(project: Project) -> None:
    project.train_through(1)
    assert "task_2.safetensors is missing; run `cassle train 2` first" in refuses(
        project, "train", "3"
    )


def test_training_before_anything_asks_for_the_plan(project: Project) -> None:
    assert "run `cassle plan` first" in refuses(project, "train", "1")
    assert "run `cassle plan` first" in refuses(project, "train", "1", "--planned")


def test_a_state_of_another_backbone_is_refused(project: Project) -> None:
    project.train_through(1)
    foreign = layout.state(1).read_bytes()
    project.edit({"widths: [4, 8]": "widths: [4, 6]"})
    project.train_through(1)
    layout.state(1).write_bytes(foreign)
    assert "has another backbone than the plan" in refuses(project, "train", "2")
    assert "has another backbone than the plan" in refuses(project, "evaluate", "1")


def test_a_state_made_with_other_params_is_refused(project: Project) -> None:
    project.train_through(1)
    project.edit({"crop_scale: [0.2": "crop_scale: [0.3"})
    project.must("plan")
    said = "task_1.safetensors has another set of params than the plan"
    assert said in refuses(project, "train", "2")


def test_a_state_of_another_seed_or_version_of_the_code_is_refused_with_the_reason(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.train_through(1)
    project.edit({"\nseed: 0": "\nseed: 1"})
    project.must("plan")
    for command in (("train", "2"), ("evaluate", "1")):
        assert "has another seed than the plan: got 0, expected 1" in refuses(project, *command)
    project.edit({"\nseed: 1": "\nseed: 0"})
    fingerprint = plan.code_fingerprint
    monkeypatch.setattr(plan, "code_fingerprint", lambda *modules: fingerprint(*modules)[::-1])
    project.must("plan")
    project.must("prepare")
    for command in (("train", "1"), ("train", "2"), ("evaluate", "1")):
        said = refuses(project, *command)
        assert "has another version of the code than the plan: got " in said


def test_params_edited_after_the_plan_are_noticed(project: Project) -> None:
    project.train_through(0)
    project.edit({"crop_scale: [0.2": "crop_scale: [0.3"})
    assert "is not what the params and the code say now" in refuses(project, "train", "1")


def test_splits_of_another_plan_are_refused(project: Project) -> None:
    project.train_through(1)
    project.edit({"split_seed: 0": "split_seed: 1"})
    project.must("plan")
    for command in (("train", "1"), ("evaluate", "1"), ("evaluate", "0")):
        assert "are of another plan; run `cassle prepare` first" in refuses(project, *command)
    project.must("prepare")
    assert "has another split than the plan" in refuses(project, "evaluate", "1")


def test_a_report_of_another_plan_is_refused(project: Project) -> None:
    project.run_all(3)
    project.edit({"distill_weight: 1.0": "distill_weight: 0.5"})
    project.must("plan")
    assert "evaluations/task_2.json is of another plan" in refuses(project, "report")


def test_a_linear_evaluation_that_diverges_is_no_accuracy(project: Project) -> None:
    # Weights grow a millionfold a step: float32 overflows within the first epoch.
    project.edit(
        {
            "learning_rate: 0.1\n": "learning_rate: 1000\n",
            "weight_decay: 0.0\n": "weight_decay: 1000\n",
            "batch_size: 256": "batch_size: 4",
        }
    )
    project.train_through(0)
    assert "weights that are not finite" in refuses(project, "evaluate", "0")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k: 20": "k: 161"}, "probe knn: evaluation.knn.k (161) is above the 160 training images"),
        (
            {"labels: 0.01": "labels: 17"},
            "(17) asks for 17 images of each class, and class 0 has 16",
        ),
        ({"    l2: 0.0001": "    l2: 1.0e-300"}, "the solver did not converge in 5 iterations"),
    ],
)
def test_a_probe_that_does_not_fit_the_images_says_so(
    project: Project, change: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.evaluation import solver

    monkeypatch.setattr(solver, "MAX_ITERATIONS", 5 if "l2" in str(change) else 5000)
    project.edit(change)
    project.train_through(0)
    found = refuses(project, "evaluate", "0")
    assert "task_0.safetensors" in found
    assert message in found


def test_the_full_set_does_not_land_in_the_folder_of_the_subset(project: Project) -> None:
    Path("data/fashion_mnist/SHA256SUMS").write_text("")
    project.edit({"full: false": "full: true"})
    project.must("plan")
    assert "holds the subset, and data.full is true" in refuses(project, "prepare")


def test_check_compares_the_batch_with_the_smallest_task(project: Project) -> None:
    project.edit({"batch_size: 16": "batch_size: 49"})
    assert "is above the 48 images of the smallest task" in refuses(project, "check")


def test_a_task_above_num_tasks_is_refused_outside_dvc(project: Project) -> None:
    project.train_through(0)
    assert "train_4 is above num_tasks" in refuses(project, "train", "4")


def test_a_batch_larger_than_a_task_is_refused(project: Project) -> None:
    project.edit({"batch_size: 16": "batch_size: 65"})
    project.train_through(0)
    assert "fewer than train.batch_size (65)" in refuses(project, "train", "1")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused(project: Project) -> None:
    project.train_through(0)
    for command in (("check",), ("train", "1"), ("evaluate", "0")):
        assert "--device cuda is not available here" in refuses(
            project, *command, "--device", "cuda"
        )


def test_check_wants_a_git_and_a_dvc_repository(project: Project) -> None:
    assert "is not a git repository" in refuses(project, "check")
    Path(".git").mkdir()
    assert "is not a dvc repository" in refuses(project, "check")
    Path(".dvc").mkdir()
    assert "repository: git and DVC" in project.must("check")


def test_an_unknown_option_or_task_exits_with_2(project: Project) -> None:
    for command in (
        ("train", "1", "--lr", "3"),
        ("train", "21"),
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
