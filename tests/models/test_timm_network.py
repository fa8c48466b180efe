"""timm's networks as backbones: their names, their images, and training with each method."""

from __future__ import annotations

import sys

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.models import resnet18

from pipeline import layout
from pipeline.building.components import load_class
from pipeline.config.plan_backbone import choose_patch_size
from pipeline.config.registry.methods import METHODS
from pipeline.config.registry.strategies import STRATEGIES
from pipeline.distributed.sync_batchnorm import SyncBatchNorm, synchronize_batchnorm
from pipeline.errors import RunError
from pipeline.methods.base import Method, Position
from pipeline.models import timm_names
from pipeline.models.frozen import frozen_copy
from pipeline.models.pretrained import load_pretrained
from pipeline.models.timm_names import TIMM_MISSING, list_timm_names, require_timm_name
from pipeline.models.timm_network import TimmNetwork
from pipeline.seeding import seeded_initialization
from pipeline.strategies.base import Step, Strategy
from pipeline.training.optim import group_parameters
from tests.support.networks import (
    any_backbone,
    draw_views,
    method_around,
    shipped,
    task_start,
    tiny_images,
    tiny_options,
)
from tests.support.project import Project

VIT = "timm/test_vit"  # timm's own for tests: 64 features, 6 blocks
STREAM = [name for name, entry in STRATEGIES.items() if not entry.whole_stream]


def vit(size: int = 8) -> TimmNetwork:
    backbone = any_backbone(VIT, 1, "conv3", size)
    assert isinstance(backbone, TimmNetwork)
    return backbone


# Names


def test_the_names_read_from_files_are_those_that_timm_lists() -> None:
    import timm

    assert list_timm_names() == set(timm.list_models())


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("resnet81", "'timm/resnet81' is unknown; nearest: timm/resnet18"),
        ("vit_tiny_patch16_224.augreg_in21k", "the network is 'timm/vit_tiny_patch16_224'"),
        ("hf-hub:some/where", "'timm/hf-hub:some/where' is unknown; `python -c"),
        ("", "'timm/' is unknown; `python -c"),
        ("../../etc", "is unknown"),
    ],
)
def test_a_name_that_timm_does_not_have_is_refused(model: str, message: str) -> None:
    with pytest.raises(ValueError, match="timm/") as error:
        require_timm_name(model)
    assert message in str(error.value)


def test_without_timm_plan_and_check_say_what_to_install(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timm_names, "list_timm_names", frozenset)
    project.make_repository()
    for name in ("vit_tiny", "timm/resnet18"):
        project.set({"backbone.name": name})
        for command in ("plan", "check"):
            assert TIMM_MISSING in project.refuses(command)
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(RunError, match="pip install 'cassle-pipeline"):
        TimmNetwork(1, "resnet18", 28, None)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("timm", "backbone.name: 'timm' is unknown; one of: small_resnet, resnet18"),
        ("timm/resnet19", "backbone.name: 'timm/resnet19' is unknown; nearest: timm/resnet1"),
        ("vit_huge", "backbone.name: 'vit_huge' is unknown"),
    ],
)
def test_an_unknown_backbone_is_one_clear_error(name: str, message: str, project: Project) -> None:
    project.set({"backbone.name": name})
    assert message in project.refuses("plan")


# Images


@pytest.mark.parametrize(
    ("size", "patch"),
    [(8, 4), (16, 4), (28, 4), (32, 4), (64, 8), (96, 8), (128, 16), (224, 16), (384, 32)],
)
def test_patches_fit_the_images(size: int, patch: int) -> None:
    assert choose_patch_size(size, None) == patch
    assert choose_patch_size(size, 2) == 2


@pytest.mark.parametrize(
    ("size", "given", "message"),
    [
        (31, None, "no size of patches fits images of 31 pixels"),
        (28, 16, "must divide the images of 28 pixels: one of 1, 2, 4, 7, 14, or null; got 16"),
        (28, 28, "got 28"),
    ],
)
def test_patches_that_do_not_fit_are_refused(size: int, given: int | None, message: str) -> None:
    with pytest.raises(ValueError, match="pixels") as error:
        choose_patch_size(size, given)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("model", "size", "patch", "message"),
    [
        ("test_vit", 28, None, "images of 28 pixels are not whole patches of 16"),
        ("resnet18", 28, 4, "timm/resnet18 takes no patch size; set backbone.patch_size: null"),
        ("test_maxvit", 28, None, "timm/test_maxvit does not take images of 1×28×28 (integer mod"),
        ("test_maxvit", 30, None, "timm/test_maxvit does not take images of 1×30×30 (The size of"),
    ],
)
def test_images_that_a_network_does_not_take_are_refused(
    model: str, size: int, patch: int | None, message: str
) -> None:
    with pytest.raises(RunError) as error:
        TimmNetwork(1, model, size, patch)
    assert message in str(error.value)


# The networks


def test_timms_resnet18_is_torchvisions() -> None:
    torch.manual_seed(0)
    theirs = resnet18(weights=None)
    theirs.fc = nn.Identity()
    ours = TimmNetwork(3, "resnet18", 32, None)
    ours.network.load_state_dict(theirs.state_dict(), strict=True)
    images = torch.rand(4, 3, 32, 32)
    for mode in (True, False):  # the statistics of the batch, then those it left
        features, expected = ours.train(mode)(images), theirs.train(mode)(images)
        torch.testing.assert_close(features, expected, rtol=1e-5, atol=1e-6)


def test_dropout_and_stochastic_depth_are_off_in_training() -> None:
    backbone = TimmNetwork(3, "efficientnet_b0", 32, None).train()
    held = [module for module in backbone.modules() if hasattr(module, "drop_prob")]
    rates = [getattr(module, "drop_prob", 0) for module in held]
    assert rates == [0.0] * len(rates)
    network = vit().train()
    images = torch.rand(2, 1, 8, 8)
    assert torch.equal(network(images), network(images))


@pytest.mark.parametrize("mode", ["batch", "running"])
def test_a_frozen_vit_is_the_network_in_either_teacher_mode(mode: str) -> None:
    network, images = vit(), torch.rand(3, 1, 8, 8)
    frozen = frozen_copy(network, mode)  # type: ignore[arg-type]
    assert torch.equal(frozen(images), network(images))
    alone = torch.cat([frozen(image[None]) for image in images])
    torch.testing.assert_close(frozen(images), alone)  # LayerNorm looks at no other image


def test_tokens_and_positions_have_no_weight_decay_and_no_rate_of_their_own() -> None:
    network = vit()
    named = {id(p): name for name, p in network.network.named_parameters()}
    weights, excluded = group_parameters([network], exclude_norms_and_biases=True)
    assert excluded["weight_decay"] == 0
    assert excluded["adaptive"] is False
    found = {named[id(p)] for p in excluded["params"]}
    assert {"cls_token", "pos_embed", "norm.weight", "patch_embed.proj.bias"} <= found
    assert all(p.ndim > 1 for p in weights["params"])
    (together,) = group_parameters([network], exclude_norms_and_biases=False)
    assert len(together["params"]) == len(named)


def test_a_batchnorm_that_holds_its_activation_keeps_it_when_synchronised() -> None:
    network = any_backbone("timm/test_efficientnet", 1, "conv3")
    images = torch.rand(8, 1, 28, 28)
    network.train()(images)
    expected = network.eval()(images)
    names = list(network.state_dict())
    synchronize_batchnorm(network)
    assert any(isinstance(module, SyncBatchNorm) for module in network.modules())
    assert torch.equal(network(images), expected)
    assert list(network.state_dict()) == names


# Training: two tasks of a transformer of a few patches


def optimize(method: Method, strategy: Strategy | None) -> None:
    """Take two steps of a task, as the learner does."""
    modules: list[nn.Module] = [method] if strategy is None else [method, strategy]
    for module in modules:
        module.train()
    optimizer = torch.optim.AdamW(group_parameters(modules, True), 1e-3)
    for step in range(2):
        at = Position(step, 1, 2)
        views = draw_views(8, step)
        if strategy is not None:
            strategy.observe(tiny_images(8), at)
            views = strategy.mix(views, at)
        encoded = method.encode(views)
        now = Step(method, views, encoded, at)
        objective = (strategy or Strategy()).objective(now)
        assert objective is not None, "the first phase of all strategies has one"
        terms: dict[str, Tensor] = {"ssl": objective}
        if strategy is not None:
            terms |= strategy.terms(now)
        optimizer.zero_grad()
        torch.autograd.backward(torch.stack(list(terms.values())).sum())
        method.after_backward(at)
        optimizer.step()
        method.after_step(Position(step + 1, 1, 2))
    for module in modules:
        assert all(value.isfinite().all() for value in module.state_dict().values())


def train_two_tasks(method_name: str, strategy_name: str) -> None:
    with seeded_initialization(0, "test"):
        backbone = vit()
        before = {name: value.clone() for name, value in backbone.state_dict().items()}
        method = method_around(backbone, method_name)
    optimize(method, None)
    with seeded_initialization(0, "test strategy"):
        options = tiny_options(shipped().strategies.options_of(strategy_name))
        options |= {"fisher_batches": 2} if "fisher_batches" in options else {}
        if "distill_weight" in STRATEGIES[strategy_name].top_level:
            options |= {"distill_weight": 1.0}
        strategy = load_class(STRATEGIES[strategy_name].path, Strategy)(**options)
        strategy.begin_task(task_start(method, tiny_images(20)))
    teacher = strategy.teacher
    held = {} if teacher is None else {k: v.clone() for k, v in teacher.state_dict().items()}
    optimize(method, strategy)
    after = backbone.state_dict()
    assert not any(torch.equal(after[name], value) for name, value in before.items())
    if teacher is not None:
        assert all(torch.equal(teacher.state_dict()[key], value) for key, value in held.items())


@pytest.mark.parametrize("name", METHODS)
def test_every_method_trains_two_tasks_with_a_vit(name: str) -> None:
    train_two_tasks(name, "cassle")


@pytest.mark.parametrize("name", STREAM)
def test_every_strategy_trains_two_tasks_with_a_vit(name: str) -> None:
    train_two_tasks("simclr", name)


def test_a_vit_runs_from_check_to_the_card(project: Project) -> None:
    project.set({"backbone.name": VIT, "backbone.patch_size": 7, "num_tasks": 2})
    project.set({"train.epochs": 1, "train.warmup_epochs": 0, "method": "dino"})
    project.set({"evaluation.probes": ["nearest_mean"], "evaluation.headline": "nearest_mean"})
    project.make_repository()
    said = project.must("check")
    assert "backbone: timm/test_vit, test_vit of timm, 0.3 M weights" in said
    assert "images of 28 pixels in patches of 7 -> 64 features" in said
    project.run_all(2)
    plan = layout.plan("init").read_text()
    assert '"patch_size":7' in plan.replace(" ", "")
    project.must("export", "--output", "out", "--no-onnx")
    tensors, weights = load_file(layout.state(2)), load_file("out/model.safetensors")
    own = "method.backbone.network"
    assert all(torch.equal(tensors[f"{own}.{key}"], weights[key]) for key in weights)
    timm = pytest.importorskip("timm")
    network = timm.create_model(f"local-dir:{project.root / 'out'}", pretrained=True)
    assert all(torch.equal(value, weights[key]) for key, value in network.state_dict().items())
    card = (project.root / "out/README.md").read_text()
    given = "'test_vit', num_classes=0, in_chans=1, patch_size=7, **sizes"
    assert f"backbone = timm.create_model({given})" in card


def test_a_vit_takes_weights_of_another_image_and_patch_size() -> None:
    with seeded_initialization(0, "test"):
        large = TimmNetwork(3, "test_vit", 48, 16)
        small = TimmNetwork(3, "test_vit", 32, 8)
    remarks = load_pretrained(small, large.state_dict())
    assert [line.partition(" was made")[0] for line in remarks] == [
        "network.pos_embed",
        "network.patch_embed.proj.weight",
    ]
    images = torch.rand(2, 3, 32, 32)
    assert small.eval()(images).isfinite().all()
    own, taken = small.state_dict(), large.state_dict()
    assert torch.equal(
        own["network.blocks.0.attn.qkv.weight"], taken["network.blocks.0.attn.qkv.weight"]
    )
    same = load_pretrained(TimmNetwork(3, "test_vit", 48, 16), taken)
    assert same == []


def test_a_stem_and_the_patches_of_others_change_no_plan(project: Project) -> None:
    project.must("plan")
    before = layout.plan("train_2").read_bytes()
    project.set({"backbone.patch_size": 7})
    project.must("plan")
    assert layout.plan("train_2").read_bytes() == before
    project.set({"backbone.name": "vit_tiny", "backbone.patch_size": None})
    project.must("plan")
    assert '"patch_size":4' in layout.plan("init").read_text().replace(" ", "")
    before = layout.plan("train_2").read_bytes()
    project.set({"backbone.stem": "conv3"})
    project.must("plan")
    assert layout.plan("train_2").read_bytes() == before
