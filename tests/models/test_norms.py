"""ResNets with GroupNorm: each image by its own numbers, whatever the batch, in every place."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from pipeline.building.backbone import build_backbone
from pipeline.config.plan_backbone import plan_backbone
from pipeline.config.read import parse_params
from pipeline.config.registry import backbones
from pipeline.config.registry.backbones import BACKBONES, ResNetBackbone
from pipeline.config.registry.component import Component
from pipeline.config.registry.methods import METHODS
from pipeline.distributed.sync_batchnorm import synchronize_batchnorm
from pipeline.errors import ParamsError
from pipeline.files.typed_json import as_json
from pipeline.methods.base import Position
from pipeline.models.backbone import Backbone
from pipeline.models.freezing import freeze_until
from pipeline.models.frozen import TeacherBatchNorm, frozen_copy
from pipeline.models.norms import Norm, count_groups
from pipeline.models.pretrained import load_pretrained
from pipeline.models.small_resnet import SmallResNet
from pipeline.seeding import seeded_initialization
from pipeline.strategies.base import Step
from pipeline.training.optim import group_parameters
from tests.support.networks import backbone_spec, draw_views, method_around, tiny_cassle
from tests.support.params import SHIPPED, with_changes
from tests.support.project import Project

RESNETS = [name for name, entry in BACKBONES.items() if isinstance(entry, ResNetBackbone)]
every_resnet = pytest.mark.parametrize("name", RESNETS)


def resnet(name: str, norm: Norm) -> Backbone:
    with seeded_initialization(0, "backbone"):
        return build_backbone(replace(backbone_spec(name, 1, "conv3_stride2"), norm=norm))


def norms_of(module: nn.Module) -> dict[str, type[nn.Module]]:
    kinds = (_BatchNorm, nn.GroupNorm)
    return {name: type(each) for name, each in module.named_modules() if isinstance(each, kinds)}


def some_images(count: int = 3) -> torch.Tensor:
    return torch.rand(count, 1, 20, 20, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("width", "groups"),
    [
        *((2048, 32), (64, 32), (48, 24), (32, 16), (16, 8), (6, 3), (4, 2), (3, 1), (1, 1)),
        # 32 and all from 31 to 26 leave a remainder of 200, and a prime has one group alone.
        *((200, 25), (67, 1)),
    ],
)
def test_groups_are_32_or_of_two_channels_and_divide_the_width(width: int, groups: int) -> None:
    assert count_groups(width) == groups


@every_resnet
def test_group_norm_stands_where_batch_norm_does_and_all_else_is_the_same(name: str) -> None:
    usual, grouped = resnet(name, "batch"), resnet(name, "group")
    assert set(norms_of(usual).values()) == {nn.BatchNorm2d}
    assert set(norms_of(grouped).values()) == {nn.GroupNorm}
    assert norms_of(usual).keys() == norms_of(grouped).keys()
    before, after = dict(usual.named_parameters()), dict(grouped.named_parameters())
    assert before.keys() == after.keys()
    assert all(torch.equal(after[key], value) for key, value in before.items())
    assert not list(grouped.buffers())


@every_resnet
def test_an_image_s_features_depend_on_no_other_image_and_on_no_mode(name: str) -> None:
    backbone = resnet(name, "group")
    with torch.no_grad():
        together = backbone.train()(some_images())
        alone = torch.cat([backbone(image[None]) for image in some_images()])
        torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
        assert torch.equal(backbone.eval()(some_images()), together)


@pytest.mark.parametrize("mode", ["batch", "running"])
def test_a_frozen_copy_is_the_network_in_either_teacher_mode(mode: TeacherBatchNorm) -> None:
    backbone = resnet("small_resnet", "group").train()
    assert torch.equal(frozen_copy(backbone, mode)(some_images()), backbone(some_images()))


def test_frozen_layers_stay_and_the_others_move() -> None:
    backbone = resnet("small_resnet", "group")
    freeze_until(backbone, "stem")
    before = copy.deepcopy(backbone.state_dict())
    backbone.train()(some_images()).square().sum().backward()
    trainable = [p for p in backbone.parameters() if p.requires_grad]
    torch.optim.SGD(trainable, lr=0.1).step()
    moved = {k for k, value in backbone.state_dict().items() if not torch.equal(value, before[k])}
    assert moved == {name for name in before if not name.startswith("stem.")}


def test_norms_have_no_weight_decay_and_no_process_waits_for_them() -> None:
    backbone = resnet("small_resnet", "group")
    _, excluded = group_parameters([backbone], exclude_norms_and_biases=True)
    assert len(excluded["params"]) == 2 * len(norms_of(backbone))
    before = norms_of(backbone)
    synchronize_batchnorm(backbone)
    assert norms_of(backbone) == before


@pytest.mark.parametrize("name", METHODS)
def test_every_method_and_its_distillation_take_two_steps_of_two_images(name: str) -> None:
    with seeded_initialization(0, "test"):
        backbone = SmallResNet(1, "conv3_stride2", widths=[4, 8], blocks=1, norm="group")
        method = method_around(backbone, name).train()
    strategy = tiny_cassle(method, teacher_batchnorm="batch").train()
    before = copy.deepcopy(backbone.state_dict())
    held = {key: value for key, value in method.state_dict().items() if "momentum_" in key}
    slow = copy.deepcopy(held)
    optimizer = torch.optim.SGD(group_parameters([method, strategy], True), 0.1)
    for step in range(2):
        at, views = Position(step, 1, 2), draw_views(2, step)
        encoded = method.encode(views)
        terms = strategy.terms(Step(method, views, encoded, at))
        loss = method.loss(views, encoded) + terms["distill"]
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        method.after_backward(at)
        optimizer.step()
        method.after_step(Position(step + 1, 1, 2))
    after = method.state_dict()
    assert all(value.isfinite().all() for value in after.values())
    moved = [
        key for key, value in backbone.state_dict().items() if not torch.equal(value, before[key])
    ]
    assert {key.partition(".")[0] for key in moved} == {"stem", "blocks"}
    assert any(key.startswith("stem.1.") for key in moved)  # the norm's scale and shift
    assert not slow or any(not torch.equal(after[key], value) for key, value in slow.items())


@pytest.mark.parametrize(
    ("theirs", "ours", "said"),
    [
        ("batch", "group", "they are of a network with BatchNorm, and this one has another norm"),
        ("group", "batch", "they are of a network without BatchNorm, and this one has it"),
    ],
)
def test_weights_with_the_other_norm_are_refused(theirs: Norm, ours: Norm, said: str) -> None:
    backbone = resnet("small_resnet", ours)
    before = copy.deepcopy(backbone.state_dict())
    with pytest.raises(ValueError, match=f"^{said}$"):
        load_pretrained(backbone, resnet("small_resnet", theirs).state_dict())
    assert all(torch.equal(backbone.state_dict()[name], value) for name, value in before.items())
    load_pretrained(backbone, resnet("small_resnet", ours).state_dict())


def test_a_file_that_lacks_one_layer_s_statistics_is_no_network_of_another_norm() -> None:
    given = resnet("small_resnet", "batch").state_dict()
    del given["stem.1.running_mean"]
    with pytest.raises(ValueError, match=r"^1 missing: stem\.1\.running_mean$"):
        load_pretrained(resnet("small_resnet", "batch"), given)


# Params


def test_the_plan_says_what_norm_it_is_where_it_is_not_the_usual_one() -> None:
    for norm in ("batch", "group"):
        given = with_changes(SHIPPED, {"backbone.norm": norm})
        plan = plan_backbone(parse_params(given, "params"))
        assert plan.norm == norm
        assert as_json(plan).get("norm", "batch") == norm
        assert set(norms_of(build_backbone(plan)).values()) == {
            nn.BatchNorm2d if norm == "batch" else nn.GroupNorm
        }


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"backbone.norm": "layer"}, "backbone.norm"),
        ({"backbone.norm": None}, "backbone.norm"),
        (
            {"backbone.norm": "group", "backbone.name": "timm/convnext_atto"},
            "backbone.norm: group is for small_resnet, resnet18, resnet50, and "
            "'timm/convnext_atto' has norms of its own; set backbone.norm: batch, which it passes "
            "over",
        ),
    ],
)
def test_a_norm_that_cannot_be_is_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ParamsError, match=said.replace(".", r"\.")):
        parse_params(with_changes(SHIPPED, changes), "params")


def test_a_backbone_that_is_added_needs_no_choice_of_norm(monkeypatch: pytest.MonkeyPatch) -> None:
    added = Component("pipeline.models.resnet:ResNet18", "one more")
    monkeypatch.setitem(backbones.BACKBONES, "added", added)
    params = parse_params(with_changes(SHIPPED, {"backbone.name": "added"}), "params")
    assert plan_backbone(params).norm == "batch"
    with pytest.raises(ParamsError, match="'added' has norms of its own"):
        parse_params(
            with_changes(SHIPPED, {"backbone.name": "added", "backbone.norm": "group"}), "params"
        )


def test_check_says_that_the_network_has_group_norm(project: Project) -> None:
    project.make_repository()
    assert "GroupNorm" not in project.must("check")
    project.set({"backbone.norm": "group"})
    said = "backbone: small_resnet with GroupNorm; simclr's heads stay as they are"
    assert said in project.must("check")
