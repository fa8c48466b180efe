"""Streams that start from weights trained elsewhere."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torchvision.models import resnet

from pipeline import layout
from pipeline.artifacts.plans.evaluate import EvaluatePlan
from pipeline.artifacts.plans.files import require_plan
from pipeline.artifacts.plans.init import InitPlan
from pipeline.artifacts.weights import digest_weights
from pipeline.building.trained_backbone import load_backbone
from pipeline.config import plan_weights
from pipeline.config.read import load_params
from pipeline.config.resolve import resolve
from tests.support.interruption import KilledError, at_step, kill
from tests.support.params import Changes
from tests.support.project import Project

BEFORE = "method.backbone."  # of a state's names
ELSEWHERE = Path("elsewhere")


def backbone_of(task: int) -> dict[str, Tensor]:
    """The backbone's tensors in a state."""
    held = load_file(layout.state(task))
    return {k.removeprefix(BEFORE): t for k, t in held.items() if k.startswith(BEFORE)}


def same(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


@pytest.fixture
def trained(project: Project) -> Project:
    """A project that starts from its own state 1, which lies elsewhere."""
    project.trained(1)
    ELSEWHERE.mkdir()
    shutil.copy(layout.state(1), ELSEWHERE)
    project.set({"backbone.weights": str(ELSEWHERE)})
    return project


def plan_and_init(project: Project, source: str) -> str:
    project.set({"backbone.weights": source})
    project.must("plan")
    return project.must("init")


def test_a_file_of_torchvision_becomes_state_0(project: Project) -> None:
    network = resnet.resnet18()
    torch.save({"epoch": 1, "state_dict": network.state_dict()}, "resnet.pth")
    # In colour; no image is read.
    resnet18 = {"backbone.name": "resnet18", "backbone.stem": "conv7_maxpool"}
    project.set({"dataset": "cifar100", **resnet18})
    plan_and_init(project, "resnet.pth")
    held, expected = backbone_of(0), network.state_dict()
    assert torch.equal(held["stem.0.weight"], expected["conv1.weight"])
    assert torch.equal(held["layers.3.1.bn2.running_var"], expected["layer4.1.bn2.running_var"])
    assert len(held) == len(expected) - 2, "all but the classifier"
    plan = require_plan(InitPlan, "init").weights
    assert plan is not None
    assert plan.source == "resnet.pth"
    assert plan.digest == hashlib.sha256(Path("resnet.pth").read_bytes()).hexdigest()


@pytest.mark.parametrize("source", ["elsewhere", "elsewhere/task_1.safetensors", "exported"])
def test_a_state_and_an_export_give_the_same_features_bit_for_bit(
    source: str, trained: Project
) -> None:
    trained.set({"backbone.weights": None})
    if source == "exported":
        trained.must("export", "1", "--no-onnx", "--output", source)
    before, _ = load_backbone(require_plan(EvaluatePlan, "evaluate"), 1)
    plan_and_init(trained, source)
    after, _ = load_backbone(require_plan(EvaluatePlan, "evaluate"), 0)
    images = torch.rand(3, 1, 28, 28)
    with torch.no_grad():
        assert torch.equal(before.eval()(images), after.eval()(images))
    assert same(before.state_dict(), after.state_dict())


def test_a_relative_path_may_be_of_the_main_checkout(
    trained: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trained.must("plan")
    copy = tmp_path / "queued"
    copy.mkdir()
    for name in ("params.yaml", "data"):
        Path(name).rename(copy / name)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.chdir(copy)
    trained.must("init")
    assert same(backbone_of(0), backbone_of(1))


def with_recipe(path: Path, recipe: object) -> None:
    about = {"cassle": json.dumps({"preprocessing": recipe})}
    save_file({"a": torch.ones(1)}, path, metadata=about)


def test_normalisation_and_size_of_the_weights_are_taken_over(project: Project) -> None:
    recipe = {"mean": [0.4], "std": [0.2], "image_size": 32}
    with_recipe(Path("grey.safetensors"), recipe)
    project.set({"backbone.weights": "grey.safetensors"})
    project.must("plan")
    dataset = require_plan(EvaluatePlan, "evaluate").dataset
    assert (dataset.mean, dataset.std, dataset.image_size) == ((0.4,), (0.2,), 28)
    colour = {"pretrained_cfg": {"mean": [0.5] * 3, "std": [0.1] * 3, "input_size": [3, 40, 40]}}
    Path("config.json").write_text(json.dumps(colour), encoding="utf-8-sig")  # Notepad's
    save_file({"a": torch.ones(1)}, "model.safetensors")
    project.set({"backbone.weights": "."})
    project.must("plan")
    assert require_plan(EvaluatePlan, "evaluate").dataset.mean != (0.5, 0.5, 0.5)
    Path("own/a").mkdir(parents=True)
    project.set({"dataset": "image_folder", "data.root": "own"})
    project.must("plan")
    dataset = require_plan(EvaluatePlan, "evaluate").dataset
    assert (dataset.mean, dataset.std, dataset.image_size) == ((0.5,) * 3, (0.1,) * 3, 40)
    project.set({"data.image_size": 24})
    project.must("plan")
    assert require_plan(EvaluatePlan, "evaluate").dataset.image_size == 24
    project.set({"data.image_size": None, "data.resize": 39})
    assert "data.resize must be at least the image size (40" in project.refuses("plan")
    Path("config.json").write_text('{"pretrained_cfg": {"mean": "grey"}}')
    assert "mend config.json or remove it" in project.refuses("plan")


GOOD = {"mean": [0.5], "std": [0.2], "image_size": 28}
WITHIN = "expected finite numbers, and std above 0"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mean": [], "std": []}, "mean has 0 numbers and std 0, expected 1 or 3 each"),
        ({"mean": [0.5] * 2, "std": [0.2] * 2}, "mean has 2 numbers and std 2"),
        ({"mean": [0.5] * 3}, "mean has 3 numbers and std 1"),
        ({"std": [float("nan")]}, WITHIN),
        ({"std": [float("inf")]}, WITHIN),
        ({"std": [10**400]}, WITHIN),
        ({"std": [0.0]}, WITHIN),
        ({"std": [-0.2]}, WITHIN),
        ({"mean": [float("nan")]}, WITHIN),
        ({"image_size": 3}, "images of 3 pixels, expected from 8 to 2048 a side"),
        ({"image_size": 100_000_000}, "images of 100000000 pixels, expected from 8 to 2048"),
        ({"image_size": 28.5}, "image_size is 28.5, expected a whole number"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused_wherever_it_stands(
    change: Changes, said: str, project: Project
) -> None:
    recipe = {**GOOD, **change}
    project.set({"backbone.weights": "w"})
    Path("w").mkdir()
    with_recipe(Path("w/model.safetensors"), recipe)
    message = project.refuses("plan")
    assert said in message and message.endswith("export it again, or name another file")
    save_file({"a": torch.ones(1)}, "w/model.safetensors")
    Path("w/preprocessing.json").write_text(json.dumps(recipe))
    message = project.refuses("plan")
    assert said in message and message.endswith("mend preprocessing.json or remove it")
    Path("w/preprocessing.json").unlink()
    size = recipe.pop("image_size")
    timm = {"pretrained_cfg": {**recipe, "input_size": [3, size, size]}}
    Path("w/config.json").write_text(json.dumps(timm))
    message = project.refuses("plan")
    assert said.replace("image_size", "input_size[1]") in message
    assert message.endswith("mend config.json or remove it")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000, "it is nested too deeply"),
        ('{"pretrained_cfg": ' + "[" * 100_000, "it is nested too deeply"),
        ('{"pretrained_cfg": {"mean": [0.5], "std": [1], "input_size": []}}', "input_size is []"),
        ('{"pretrained_cfg": {"mean": [0.5], "std": [1], "input_size": [9]}}', "input_size is [9]"),
        ('{"pretrained_cfg": 3}', "input_size is missing"),
    ],
)
def test_a_config_that_cannot_be_is_refused(text: str, said: str, project: Project) -> None:
    save_file({"a": torch.ones(1)}, "model.safetensors")
    project.set({"backbone.weights": "."})
    Path("config.json").write_text(text)
    message = project.refuses("plan")
    assert said in message and message.endswith("mend config.json or remove it")
    if "nested" in said:
        Path("config.json").rename("preprocessing.json")
        message = project.refuses("plan")
        assert said in message and message.endswith("mend preprocessing.json or remove it")


class Trap:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch executed",)


def torch_file(value: object) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


FILES: dict[str, tuple[bytes, str]] = {
    "trap": (torch_file({"state_dict": {}, "trap": Trap()}), "names code to run, posix.system"),
    "text": (b"hello", "torch reads no tensors in it"),
    "cut": (torch_file({"a": torch.ones(9)})[:-40], "torch reads no tensors in it"),
    "other": (torch_file({"a": torch.ones(9)}), "30 missing: stem.0.weight"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_wrong_file_is_refused_before_any_training(name: str, project: Project) -> None:
    content, said = FILES[name]
    Path("wrong.pth").write_bytes(content)
    project.set({"backbone.weights": "wrong.pth"})
    project.must("plan")
    message = project.refuses("init")
    assert said in message
    assert "backbone.weights: wrong.pth" in message
    project.make_repository()
    assert said in project.refuses("check")
    assert not Path("executed").exists()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("gone.pth", "'gone.pth' is not there; name a file of weights"),
        ("data", "the folder 'data' holds no model.safetensors"),
    ],
)
def test_weights_that_are_not_there_are_refused_by_plan(
    source: str, said: str, project: Project
) -> None:
    project.set({"backbone.weights": source})
    assert said in project.refuses("plan")


def test_check_names_all_problems_at_once_and_what_is_taken_over(trained: Project) -> None:
    trained.make_repository()
    out = trained.must("check")
    digest = hashlib.sha256(layout.state(1).read_bytes()).hexdigest()[:12]
    assert f"weights: elsewhere, SHA-256 {digest}, fits small_resnet" in out
    assert "weights: they do not say how images enter" in out
    wrong: Changes = {"backbone.weights": "gone", "backbone.freeze_until": "block"}
    trained.set({**wrong, "train.batch_size": 1000})
    said = trained.refuses("check")
    assert "'gone' is not there" in said
    assert "backbone.freeze_until: 'block' is no part of the backbone; did you mean" in said
    assert "train.batch_size (1000) is above" in said
    trained.set({"backbone.weights": "elsewhere", "backbone.freeze_until": "stem"})
    trained.set({"train.batch_size": 16, "distill_from_start": True, "strategy": "cassle+er"})
    out = trained.must("check")
    assert "frozen: 44 of" in out
    assert "task 1: cassle looks back at the weights; er acts from task 2 on" in out


def test_what_a_run_writes_itself_is_no_start_of_it(trained: Project) -> None:
    for source in ("data/states", str(layout.state(1))):
        trained.set({"backbone.weights": source})
        said = trained.refuses("plan")
        assert "is what this run writes itself" in said
        assert "cp data/states/task_" in said


def test_what_was_planned_needs_the_weights_no_more(trained: Project) -> None:
    trained.must("plan")
    before = layout.plan("init").read_bytes()
    Path("elsewhere").rename("gone")
    trained.must("plan")
    assert layout.plan("init").read_bytes() == before
    trained.set({"backbone.weights": "nowhere"})
    assert "'nowhere' is not there" in trained.refuses("plan")


def test_a_plan_reads_all_of_the_weights_once(
    trained: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def count(path: Path) -> str:
        read.append(path)
        return digest_weights(path)

    monkeypatch.setattr(plan_weights, "digest_weights", count)
    resolve(load_params(layout.PARAMS))
    assert [path.name for path in read] == ["task_1.safetensors"]


def test_looking_back_at_random_weights_is_refused(project: Project) -> None:
    project.set({"distill_from_start": True})
    assert "with backbone.weights: null that is a random network" in project.refuses("plan")


def test_a_file_that_changed_since_the_plan_is_refused(trained: Project) -> None:
    trained.must("plan")
    path = ELSEWHERE / "task_1.safetensors"
    path.write_bytes(layout.state(0).read_bytes())
    code, _, err = trained.cassle("init", "--planned")
    assert code == 2
    assert "is not what it was when it was planned" in err
    path.write_bytes(layout.state(1).read_bytes()[:-1] + b"\x7f")
    trained.must("plan")
    assert "do not match their checksum" in trained.refuses("init")


def train_first(project: Project, changes: Changes) -> list[dict[str, str]]:
    """Train task 1 from state 1 of another run; return its log."""
    project.set(changes)
    for command in ("plan", "init", "train 1"):
        project.must(*command.split())
    with layout.log(1).open() as file:
        return list(csv.DictReader(file))


def changed() -> set[str]:
    before, after = backbone_of(0), backbone_of(1)
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_frozen_parts_stay_through_the_tasks(trained: Project) -> None:
    trained.set({"method": "byol"})
    train_first(trained, {"backbone.freeze_until": "blocks.0"})
    assert all(name.startswith("blocks.1.") for name in changed())
    trained.must("train", "2")
    held = load_file(layout.state(2))
    for name, tensor in backbone_of(0).items():
        frozen = not name.startswith("blocks.1.")
        assert torch.equal(held[BEFORE + name], tensor) is frozen or "shortcut" in name
        if frozen:
            assert torch.equal(held[f"method.momentum_backbone.{name}"], tensor)
    trained.set({"backbone.freeze_until": "layer9"})
    trained.must("plan")
    assert "'layer9' is no part of the backbone" in trained.refuses("train", "1")


def test_the_backbone_waits_for_its_head(trained: Project) -> None:
    plain = train_first(trained, {"train.epochs": 2})
    end = changed()
    assert end == set(backbone_of(0))
    log = train_first(trained, {"train.head_warmup_epochs": 1})
    assert changed() == end
    assert log != plain
    counted = (
        backbone_of(1)["stem.1.num_batches_tracked"] - backbone_of(0)["stem.1.num_batches_tracked"]
    )
    assert int(counted) == int(log[-1]["step"]) // 2, "statistics move in the second epoch alone"


def test_the_backbone_has_a_rate_of_its_own(trained: Project) -> None:
    moved = []
    for rate in (1.0, 1e-6):
        train_first(trained, {"train.backbone_rate": rate})
        before, after = backbone_of(0), backbone_of(1)
        moved.append(float((after["stem.0.weight"] - before["stem.0.weight"]).abs().max()))
    assert 0 < moved[1] < moved[0] / 1000


def test_strategies_look_back_at_state_0_from_the_start(trained: Project) -> None:
    assert "distill" not in train_first(trained, {"strategy": "cassle+er"})[0]
    alone = layout.state(1).read_bytes()
    assert "distill" in train_first(trained, {"distill_from_start": True})[0]
    trained.must("train", "2")
    trained.set({"strategy": "finetune"})
    trained.must("plan")
    assert require_plan(InitPlan, "init") is not None
    train_first(trained, {"strategy": "er"})
    assert layout.state(1).read_bytes() == alone, "er has no images to look back at"
    assert "less_forget" in train_first(trained, {"strategy": "less_forget"})[0]


def test_a_killed_first_task_goes_on_to_the_same_bytes(
    trained: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: Changes = {
        "distill_from_start": True,
        "backbone.freeze_until": "stem",
        "train.backbone_rate": 0.1,
        "train.head_warmup_epochs": 1,
    }
    train_first(trained, options)
    whole = layout.state(1).read_bytes(), layout.log(1).read_bytes()
    monkeypatch.setenv("CASSLE_CHECKPOINT_SECONDS", "0")
    for step in (2, 5):
        at_step(monkeypatch, step, kill)
        with pytest.raises(KilledError):
            trained.cassle("train", "1")
    trained.must("train", "1")
    assert (layout.state(1).read_bytes(), layout.log(1).read_bytes()) == whole


def test_a_run_to_the_report_has_the_random_network_beside_state_0(
    trained: Project,
) -> None:
    trained.set({"num_tasks": 2, "evaluation.probes": ["linear"]})
    random = backbone_of(0)
    trained.run_all(2)
    assert not same(random, backbone_of(0))
    held = json.loads(layout.EVALUATIONS.read_text())
    assert [row["after_task"] for row in held["rows"]] == [0, 1, 2]
    assert held["random"]["after_task"] == -1
    metrics = json.loads((layout.REPORTS / "metrics.json").read_text())
    assert {"forgetting_from_start", "forward_transfer_random", "plasticity_random"} <= set(metrics)
    report = (layout.REPORTS / "report.md").read_text()
    assert "| pretrained network |" in report
    assert "The random network has A " in report
    trained.must("export", "--no-onnx", "--output", "exported")
    assert (
        "- begins with the backbone of `elsewhere` (SHA-256"
        in Path("exported/README.md").read_text()
    )
    before = layout.EVALUATIONS.read_bytes()
    trained.must("evaluate")
    assert layout.EVALUATIONS.read_bytes() == before
    # Its accuracies are those of a run that starts from it.
    trained.set({"backbone.weights": None})
    for command in ("plan", "init", "evaluate 0"):
        trained.must(*command.split())
    again = json.loads(layout.EVALUATIONS.read_text())["rows"][0]
    assert again["accuracy"] == held["random"]["accuracy"]
    assert again["rank"] == held["random"]["rank"] != held["rows"][0]["rank"]
