"""Exported backbones give the pipeline's own features, and their cards say what is true."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import cast

import numpy as np
import onnxruntime
import pytest
import torch
import torchvision
from safetensors.torch import load_file

from pipeline import layout
from pipeline.artifacts.encoder import (
    EncoderOrigin,
    derive_preprocessing,
    pack_encoder,
    read_encoder,
)
from pipeline.artifacts.evaluation import Evaluation, find_evaluations
from pipeline.artifacts.plans.evaluate import EvaluatePlan
from pipeline.artifacts.plans.files import require_plan
from pipeline.artifacts.plans.parts import BackbonePlan, DatasetPlan
from pipeline.artifacts.portable import Portable, to_onnx
from pipeline.artifacts.split import fingerprint_stream, read_splits
from pipeline.artifacts.timm_config import describe_for_timm
from pipeline.building.backbone import build_backbone
from pipeline.building.components import load_class
from pipeline.commands.export import FILES, Wanted, describe_preprocessing
from pipeline.config.registry.backbones import BACKBONES, entry_name, find_backbone
from pipeline.data.augmentation.augment import Augment
from pipeline.data.image_files.file_options import FileOptions
from pipeline.errors import RunError
from pipeline.evaluation.features import extract
from pipeline.files import folders
from pipeline.files.atomic import write_bytes
from pipeline.files.sealed_json import write_json
from pipeline.models.backbone import Backbone
from pipeline.models.norms import Norm
from pipeline.models.public_names import adopt_names
from pipeline.models.stems import STEMS
from pipeline.reporting.card import snippets
from pipeline.reporting.code_name import name_code
from tests.support.networks import OURS, TIMMS, backbone_spec
from tests.support.params import ROOT
from tests.support.project import Project

SIZE = 20
TOLERANCE = 1e-4
# Backbone, channels, stem; every backbone (two of timm's), every stem, gray and RGB.
CASES = [
    *zip([*OURS, *TIMMS], cycle((1, 3)), cycle(STEMS), strict=False),
    *(
        ("small_resnet", channels, stem)
        for channels, stem in zip(cycle((3, 1)), STEMS, strict=False)
    ),
]
STATISTICS = {
    1: ([0.286], [0.353]),
    3: ([0.49, 0.48, 0.45], [0.25, 0.24, 0.26]),
}


def bytes_of_images(count: int, channels: int, size: int = SIZE) -> torch.Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.randint(
        0, 256, (count, channels, size, size), dtype=torch.uint8, generator=generator
    )


def trained(spec: BackbonePlan, normalise: Augment) -> Backbone:
    """A backbone of random weights whose BatchNorm has seen images."""
    torch.manual_seed(0)
    backbone = build_backbone(spec).train()
    with torch.no_grad():
        for _ in range(4):
            backbone(normalise.normalize(bytes_of_images(16, spec.channels)))
    return backbone


def some_dataset(channels: int, size: int = SIZE, files: FileOptions | None = None) -> DatasetPlan:
    return DatasetPlan("", "", "", True, (), channels, size, *STATISTICS[channels], files)


def write_weights(spec: BackbonePlan, backbone: Backbone) -> EncoderOrigin:
    """Write model.safetensors and preprocessing.json as an export does."""
    dataset = some_dataset(spec.channels)
    origin = EncoderOrigin(1, "ab", spec, derive_preprocessing(dataset))
    write_bytes(Path("model.safetensors"), pack_encoder(backbone, origin))
    write_json(Path("preprocessing.json"), describe_preprocessing(dataset, Wanted()))
    return origin


def run_code(code: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Run a card's code where this package cannot be imported; return its names."""
    names: dict[str, object] = {}
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pipeline", None)
        exec(compile(code, "card", "exec"), names)
    return names


def run_code_here(code: str) -> dict[str, object]:
    """Run a card's code where this package can be imported; return its names."""
    names: dict[str, object] = {}
    exec(compile(code, "card", "exec"), names)
    return names


def blocks(card: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)


def assert_same_features(
    backbone: Backbone, augment: Augment, names: dict[str, object], size: int
) -> None:
    session = onnxruntime.InferenceSession("backbone.onnx", providers=["CPUExecutionProvider"])
    for count in (1, 7):
        images = bytes_of_images(count, len(augment.mean), size)
        expected = extract(backbone, images, augment.normalize)
        assert expected.shape == (count, backbone.num_features)
        assert expected.std() > 100 * TOLERANCE
        features = names["features"](images)  # type: ignore[operator]
        assert (features - expected).abs().max() < TOLERANCE
        (of_onnx,) = session.run(["features"], {"images": images.numpy()})
        assert of_onnx.dtype == np.float32
        assert np.abs(of_onnx - expected.numpy()).max() < TOLERANCE


def test_the_cases_below_are_all_backbones_in_grey_and_in_colour() -> None:
    found = {entry_name(name) for name, _, _ in CASES}
    assert found == {name for name, entry in BACKBONES.items() if not getattr(entry, "model", "")}
    assert {channels for _, channels, _ in CASES} == {1, 3}
    assert {stem for _, _, stem in CASES} == set(STEMS)


def test_the_preprocessing_says_how_a_file_becomes_the_input() -> None:
    files = FileOptions(resize=40, background=(1, 2, 3))
    dataset = DatasetPlan("", "", "", True, (), 3, 32, (0.5,) * 3, (0.5,) * 3, files)
    said = " ".join(map(str, describe_preprocessing(dataset, Wanted())["decoding"]))  # type: ignore[arg-type]
    assert "transparency composited on the color (1, 2, 3)" in said
    assert "resized to 40×40 pixels" in said
    assert "central 32×32 pixels are cropped" in said
    whole = replace(dataset, image_size=40, files=replace(files, keep="whole"))
    said = " ".join(map(str, describe_preprocessing(whole, Wanted())["decoding"]))  # type: ignore[arg-type]
    assert "the shorter side is resized to 40 pixels" in said
    assert "above 120 pixels" in said
    assert "central 40×40 pixels are cropped" in said
    assert "square" not in said


@pytest.mark.pipeline
@pytest.mark.parametrize(
    ("name", "channels", "stem", "norm"),
    [
        *((*case, "batch") for case in CASES),
        ("small_resnet", 1, "conv3", "group"),
    ],
)
def test_plain_torch_and_onnxruntime_give_the_pipelines_own_features(
    name: str, channels: int, stem: str, norm: Norm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    mean, std = STATISTICS[channels]
    augment = Augment((), SIZE, mean, std)
    spec = replace(backbone_spec(name, channels, stem, SIZE), norm=norm)
    backbone = trained(spec, augment)
    write_weights(spec, backbone)
    content = to_onnx(Portable(backbone, mean, std), (channels, SIZE, SIZE), {})
    write_bytes(Path("backbone.onnx"), content)
    shape = f"{channels}, {SIZE}, {SIZE}"
    code = snippets.torch_snippet(spec, shape, backbone.num_features)
    alone = find_backbone(name).module in snippets.BUILDERS
    assert alone or "install the package that trained it" in code
    names = run_code(code, monkeypatch) if alone else run_code_here(code)
    assert_same_features(backbone, augment, names, SIZE)


def test_a_backbone_that_the_card_cannot_take_apart_loads_with_this_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    spec = replace(backbone_spec("small_resnet", 1, "conv3"), norm="group")
    augment = Augment((), SIZE, *STATISTICS[1])
    backbone = trained(spec, augment)
    write_weights(spec, backbone)
    monkeypatch.setattr(snippets, "BUILDERS", {})
    code = snippets.torch_snippet(spec, f"1, {SIZE}, {SIZE}", backbone.num_features)
    assert "from pipeline.models.small_resnet import SmallResNet" in code
    names = run_code_here(code)
    images = bytes_of_images(3, 1)
    features = names["features"](images)  # type: ignore[operator]
    assert torch.allclose(features, extract(backbone, images, augment.normalize), atol=TOLERANCE)


@pytest.mark.pipeline
@pytest.mark.parametrize(
    ("channels", "stem", "norm"),
    [
        (3, "conv7_maxpool", "batch"),
        (1, "conv3_padding2", "batch"),
        (3, "conv7_maxpool", "group"),
        (1, "conv3", "group"),
    ],
)
def test_the_cards_code_loads_a_resnet_into_torchvision_and_timm(
    channels: int, stem: str, norm: Norm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    augment = Augment((), SIZE, *STATISTICS[channels])
    spec = replace(backbone_spec("resnet18", channels, stem), norm=norm)
    backbone = trained(spec, augment)
    origin = write_weights(spec, backbone)
    images = bytes_of_images(3, channels)
    expected = extract(backbone, images, augment.normalize)
    shape = f"{channels}, {SIZE}, {SIZE}"
    names = run_code(snippets.torch_snippet(spec, shape, 512), monkeypatch)
    assert isinstance(names["backbone"], torchvision.models.ResNet)
    features = names["features"](images)  # type: ignore[operator]
    assert (features - expected).abs().max() < TOLERANCE

    fits = stem == "conv7_maxpool"
    assert ("whose first layers are others" in snippets.name_origin(spec)) is not fits
    assert ("resnet18 with GroupNorm" in snippets.name_origin(spec)) is (norm == "group")
    config = describe_for_timm(origin, 512)
    assert (config is not None) is fits
    timm = pytest.importorskip("timm")
    code = snippets.timm_snippet(spec, 512)
    assert ("checkpoint_path" in code) is fits
    network = cast(torch.nn.Module, run_code(code, monkeypatch)["backbone"])
    assert (network(augment.normalize(images)) - expected).abs().max() < TOLERANCE
    if config is not None:
        write_json(Path("config.json"), config)
        network = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
        assert (network(augment.normalize(images)) - expected).abs().max() < TOLERANCE
        given = timm.data.resolve_model_data_config(network)
        assert tuple(given["input_size"]) == (channels, SIZE, SIZE)
        assert list(given["mean"]) == STATISTICS[channels][0]
        assert given["crop_pct"] == 1


@pytest.mark.pipeline
def test_the_two_lines_of_the_documents_load_a_resnet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    spec = backbone_spec("resnet18", 3, "conv7_maxpool")
    backbone = build_backbone(spec)
    origin = write_weights(spec, backbone)
    text = (ROOT / "docs/export.md").read_text()
    in_torchvision, in_timm = blocks(text)[:2]
    run_code(in_torchvision, monkeypatch)
    read, tensors = read_encoder(tmp_path)
    assert read == origin
    adopted = adopt_names(backbone, tensors)
    for name, value in backbone.state_dict().items():
        assert torch.equal(adopted[name], value)
    pytest.importorskip("timm")
    run_code(in_timm, monkeypatch)


def test_a_small_resnet_is_none_of_other_libraries() -> None:
    spec = backbone_spec("small_resnet", 3, "conv3")
    assert snippets.timm_snippet(spec, 8) == ""
    assert (
        describe_for_timm(EncoderOrigin(1, "", spec, derive_preprocessing(some_dataset(3))), 8)
        is None
    )


def test_an_export_of_the_last_state_is_whole_and_its_card_true(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.finished(3)
    before = project.files()
    project.must("export", "--output", "out/last")
    after = project.files()
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {
        f"out/last/{name}" for name in FILES if name != "config.json"
    }

    tensors = load_file(layout.state(3))
    weights = load_file("out/last/model.safetensors")
    assert {f"method.backbone.{name}" for name in weights} == {
        name for name in tensors if name.startswith("method.backbone.")
    }
    plan = require_plan(EvaluatePlan, "evaluate")
    backbone = build_backbone(plan.backbone)
    backbone.load_state_dict(weights, strict=True)
    for name, value in weights.items():
        assert torch.equal(value, tensors[f"method.backbone.{name}"])
    origin, read = read_encoder(Path("out/last"))
    assert origin == EncoderOrigin(
        3, json.loads(header(3))["content"], plan.backbone, derive_preprocessing(plan.dataset)
    )
    assert read.keys() == weights.keys()

    card = Path("out/last/README.md").read_text()
    row = evaluated(3).accuracy
    cells = [row[str(task)] for task in (1, 2, 3)]
    shown = [f"{value:.1f}" for value in [*cells, sum(cells) / 3]]
    assert f"| {' | '.join(shown)} |" in card
    metrics = json.loads(Path("reports/metrics.json").read_text())
    assert f"| average accuracy A | {metrics['average_accuracy']:.1f} |" in card
    assert f"| forgetting F | {metrics['forgetting']:.1f} |" in card
    assert "Absent" not in card
    assert '"distill_weight": 1.0' in card
    for task in range(4):
        assert f"| {task} | {json.loads(header(task))['content'][:16]} |" in card
    for name in ("model.safetensors", "backbone.onnx", "preprocessing.json"):
        assert f"{name} | {Path('out/last', name).stat().st_size} |" in card
        assert after[f"out/last/{name}"] in card
    fingerprint = fingerprint_stream(read_splits(3))
    assert fingerprint["train"] in card
    assert fingerprint["test"] in card

    monkeypatch.chdir("out/last")
    in_torch, in_onnx = blocks(card)
    names = run_code(in_torch, monkeypatch)
    assert cast(np.ndarray, run_code(in_onnx, monkeypatch)["features"]).shape == (2, 8)
    augment = Augment((), 28, plan.dataset.mean, plan.dataset.std)
    assert_same_features(backbone, augment, names, 28)
    assert str(ROOT).encode() not in Path("backbone.onnx").read_bytes()


def evaluated(task: int) -> Evaluation:
    held = find_evaluations()
    assert held is not None
    return held.by_state()[task]


def header(task: int) -> str:
    from safetensors import safe_open

    with safe_open(layout.state(task), framework="numpy") as file:
        return cast(str, file.metadata()["cassle"])


def test_the_same_state_gives_the_same_bytes(project: Project) -> None:
    project.trained(0)
    project.must("export", "0", "--output", "one")
    project.must("export", "0", "--output", "two")
    files = project.files()
    for name in set(FILES) - {"config.json"}:
        assert files[f"one/{name}"] == files[f"two/{name}"], name


def test_a_state_along_the_way_says_what_it_has_not_learnt(project: Project) -> None:
    project.trained(1)
    project.must("evaluate", "1")
    project.must("export", "1", "--output", "out", "--no-onnx")
    card = Path("out/README.md").read_text()
    assert "after task 1 of 3" in card
    assert "| 1 | yes |" in card
    assert "| 2 | no |" in card
    row = evaluated(1).accuracy
    assert f"| {row['1']:.1f} | {row['2']:.1f} | {row['3']:.1f} |" in card
    assert "belong to its last state" in card
    assert "this state is the same for all of them" in card


def test_the_random_network_makes_no_claim(project: Project) -> None:
    project.trained(0)
    project.must("export", "0", "--output", "out", "--no-onnx")
    card = Path("out/README.md").read_text()
    assert "the random network" in card
    assert "| 1 | no |" in card
    assert "tags: [self-supervised-learning, continual-learning, untrained]" in card
    assert f"- code: {name_code()}; MIT licence" in card
    assert "- code: cassle-pipeline " in card


def test_all_tasks_at_once_are_all_learnt(project: Project) -> None:
    project.set({"strategy": "offline"})
    project.trained(1)
    project.must("export", "--output", "out", "--no-onnx")
    card = Path("out/README.md").read_text()
    assert "3 tasks at once" in card
    assert "| 3 | yes |" in card


def test_figures_of_another_plan_are_absent(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    project.trained(3)
    project.must("evaluate")
    project.set({"linear_eval.milestones": [1]})
    project.must("plan")
    project.must("export", "--output", "none", "--no-onnx")
    assert "Absent: this state was not evaluated" in Path("none/README.md").read_text()
    assert "evaluations.json is of another plan (params or code changed)" in caplog.text
    project.must("evaluate", "3")
    project.must("export", "--output", "some", "--no-onnx")
    card = Path("some/README.md").read_text()
    assert "Absent: the metrics of the whole run" in card
    assert "average accuracy A" not in card


def test_a_chain_ends_where_the_states_do(project: Project) -> None:
    project.trained(2)
    parent = json.loads(header(2))["parent"]
    layout.state(1).unlink()
    project.must("export", "2", "--output", "out", "--no-onnx")
    lines = Path("out/README.md").read_text().splitlines()
    assert f"| 1 | {parent[:16]} |  |  |" in lines
    assert not [line for line in lines if line.startswith("| 0 |")]


def test_without_onnx_the_card_and_the_preprocessing_name_none(project: Project) -> None:
    project.trained(0)
    project.must("export", "0", "--output", "out")
    assert json.loads(Path("out/preprocessing.json").read_text()) == {
        "already_inside": ["backbone.onnx"],
        "background": [255, 255, 255],
        "channels": 1,
        "colours": "grey",
        "decoding": [],
        "dtype": "uint8",
        "formula": "(pixels * scale - mean) / std",
        "image_size": 28,
        "interpolation": "bilinear",
        "keep": "square",
        "layout": "NCHW",
        "mean": [0.286],
        "onnx_takes": "pixels",
        "range": [0, 255],
        "resize": 28,
        "scale": 1 / 255,
        "std": [0.353],
    }
    Path("out/mine.txt").write_text("mine")
    project.must("export", "0", "--output", "out", "--no-onnx", "--force")
    assert {path.name for path in Path("out").iterdir()} == {
        *("model.safetensors", "preprocessing.json", "README.md", "mine.txt")
    }
    assert "This export has no ONNX file." in Path("out/README.md").read_text()
    assert json.loads(Path("out/preprocessing.json").read_text())["already_inside"] == []


def refuses(project: Project, *arguments: str) -> str:
    """Run an export that must fail cleanly; return its message."""
    before = project.files()
    folders_before = sorted(path for path in project.root.rglob("*") if path.is_dir())
    code, _, err = project.cassle("export", *arguments)
    assert code == 2, err
    assert "Traceback" not in err
    assert project.files() == before
    assert sorted(path for path in project.root.rglob("*") if path.is_dir()) == folders_before
    lines = err.strip().splitlines()
    assert len(lines) == 1, err
    return lines[0].removeprefix("error: ")


def test_what_cannot_be_exported_is_refused_in_one_line(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "run `cassle plan` first" in refuses(project, "--output", "out")
    project.trained(0)
    missing = refuses(project, "--output", "out")
    assert "task_3.safetensors is missing; run `cassle train 3` first" in missing
    above = refuses(project, "4", "--output", "out")
    assert above == "there is no state 4 in the plan; name one from 0 to 3"
    Path("file").write_text("")
    assert "file is a file; name a new or an empty folder" in refuses(
        project, "0", "--output", "file"
    )
    assert "file is a file" in refuses(project, "0", "--output", "file/below")
    Path("full").mkdir()
    Path("full/notes.txt").write_text("")
    in_use = refuses(project, "0", "--output", "full")
    assert "full is not empty (it holds notes.txt); name another folder, or add --force" in in_use
    Path("full/README.md").write_text("the project's own")
    own = refuses(project, "0", "--output", "full", "--force")
    assert "full/README.md is not of an earlier export" in own
    Path("full/README.md").unlink()
    Path("full/model.safetensors").mkdir()
    assert "model.safetensors is a folder" in refuses(project, "0", "--output", "full", "--force")
    both = refuses(project, "0", "--output", "out", "--no-onnx", "--with-preprocessing")
    assert both == "--with-preprocessing is of backbone.onnx; leave --no-onnx out"
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "onnxscript", None)
        packages = refuses(project, "0", "--output", "out")
    assert "needs onnxscript, not installed here" in packages
    assert "pip install 'cassle-pipeline[export]'" in packages
    with monkeypatch.context() as patch:
        patch.setattr(folders.os, "access", lambda path, mode: not mode & os.W_OK)
        assert "no permission to write" in refuses(project, "0", "--output", "out")
    project.set({"distill_weight": 0.5})
    assert "is not what the params and the code say now" in refuses(project, "--output", "out")


def test_a_state_of_other_params_is_refused(project: Project) -> None:
    project.trained(1)
    project.set({"augment.crop_scale": [0.3, 1.0]})
    project.must("plan")
    assert "has another set of params than the plan: got" in refuses(
        project, "1", "--output", "out"
    )


def test_what_a_killed_export_left_is_in_nobodys_way(project: Project) -> None:
    project.trained(0)
    left = Path("out/.unfinished.abcd1234")
    left.mkdir(parents=True)
    (left / "README.md").write_bytes(b"half")
    project.must("export", "0", "--output", "out", "--no-onnx")
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "README.md",
        "model.safetensors",
        "preprocessing.json",
    ]


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> None:
        if path.name == "b":
            raise RunError(f"cannot write {path}: no space")
        write_bytes(path, content)

    kept = tmp_path / "kept"
    folders.write_folder(kept, {"a": b"1"}, "ab")
    monkeypatch.setattr(folders, "write_bytes", full)
    for folder in (kept, tmp_path / "new" / "below"):
        with pytest.raises(RunError, match="no space"):
            folders.write_folder(folder, {"a": b"2", "b": b"2"}, "ab")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == {"a": b"1"}


@pytest.mark.pipeline
def test_bad_input_is_refused_without_torch() -> None:
    code = "import sys, pipeline.commands.export; print(*sorted(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    heavy = {"torch", "matplotlib", "onnx", "onnxscript", "safetensors"}
    assert not heavy & set(result.stdout.split())


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_every_backbone_is_a_class_of_its_registry_entry(name: str) -> None:
    assert issubclass(load_class(BACKBONES[name].path, Backbone), Backbone)
