"""Backbones, heads, and strict loading of their weights."""

from __future__ import annotations

from functools import partial
from itertools import product
from typing import get_args

import pytest
import torch
from torch import nn
from torch.nn import functional

from pipeline.models.backbone import average_pool, build_stem
from pipeline.models.frozen import TeacherBatchNorm, frozen_copy
from pipeline.models.heads import mlp
from pipeline.models.small_resnet import PointwiseConv2d, SmallResNet
from pipeline.models.stems import STEMS, Stem
from pipeline.seeding import seeded_initialization
from tests.support.networks import OURS, TIMMS, any_backbone

every_backbone = pytest.mark.parametrize("name", [*OURS, *TIMMS])
tiny = partial(SmallResNet, widths=[4, 6, 8], blocks=2)


def images(channels: int, count: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, channels, 28, 28, generator=generator)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize(
    ("name", "stem"), [*product(OURS, STEMS), *((name, "conv3") for name in TIMMS)]
)
def test_backbones_return_one_feature_vector_an_image(name: str, stem: str, channels: int) -> None:
    backbone = any_backbone(name, channels, stem)
    with torch.no_grad():
        features = backbone(images(channels))
    assert features.shape == (2, backbone.num_features)
    assert features.isfinite().all()


@pytest.mark.parametrize(
    ("name", "size"), [("small_resnet", 8), ("resnet18", 512), ("resnet50", 2048)]
)
def test_features_are_as_many_as_the_architecture_says(name: str, size: int) -> None:
    assert any_backbone(name, 3, "conv7_maxpool").num_features == size


def test_every_stem_is_described() -> None:
    assert tuple(STEMS) == get_args(Stem)


@pytest.mark.parametrize(
    ("stem", "size"), [("conv3", 28), ("conv3_stride2", 14), ("conv7_maxpool", 7)]
)
def test_stems_divide_the_resolution_by_one_two_and_four(stem: Stem, size: int) -> None:
    assert build_stem(stem, 3, 5)(images(3)).shape == (2, 5, size, size)


def test_a_padding_of_two_gives_the_maps_of_the_reference() -> None:
    backbone = any_backbone("resnet18", 3, "conv3_padding2")
    sizes: list[int] = []
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
            module.register_forward_hook(lambda _, inputs, output: sizes.append(output.shape[-1]))
    with torch.no_grad():
        backbone(torch.zeros(2, 3, 32, 32))
    assert list(dict.fromkeys(sizes)) == [34, 17, 9, 5]


def test_each_further_stage_halves_the_resolution() -> None:
    backbone = tiny(1, "conv3")
    sizes = []
    x = backbone.stem(images(1))
    for block in backbone.blocks:
        x = block(x)
        sizes.append(tuple(x.shape[1:]))
    assert sizes == [(4, 28, 28), (4, 28, 28), (6, 14, 14), (6, 14, 14), (8, 7, 7), (8, 7, 7)]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", [4, 7])
def test_a_pointwise_convolution_is_a_convolution(
    size: int, stride: int, layout: torch.memory_format
) -> None:
    layer = PointwiseConv2d(3, 5, stride).double().to(memory_format=layout)
    maps = images(3)[..., :size, :size].double().contiguous(memory_format=layout)
    maps.requires_grad_()
    ours = layer(maps)
    theirs = functional.conv2d(maps, layer.weight, stride=stride)
    torch.testing.assert_close(ours, theirs)
    inputs = [maps, layer.weight]
    expected = torch.autograd.grad(theirs.sin().sum(), inputs)
    for ours_, theirs_ in zip(torch.autograd.grad(ours.sin().sum(), inputs), expected, strict=True):
        torch.testing.assert_close(ours_, theirs_)


def test_the_pool_is_the_mean_and_its_gradient_lies_as_the_maps_do() -> None:
    maps = images(4).contiguous(memory_format=torch.channels_last)
    found = {}

    def note(gradient: torch.Tensor) -> None:
        found["strides"] = gradient.stride()

    leaf = maps.clone(memory_format=torch.preserve_format).requires_grad_()
    held = leaf * 1
    held.register_hook(note)
    pooled = average_pool(held)
    torch.testing.assert_close(pooled, maps.mean(dim=(2, 3)))
    pooled.square().sum().backward()
    assert found["strides"] == maps.stride()


@every_backbone
def test_every_parameter_of_a_backbone_is_trained(name: str) -> None:
    backbone = any_backbone(name, 1, "conv3")
    backbone(images(1)).square().sum().backward()
    assert all(p.grad is not None for p in backbone.parameters())


@every_backbone
def test_weights_depend_on_the_initialisation_alone(name: str) -> None:
    states = []
    for seed in (0, 0, 1):
        with seeded_initialization(seed, "backbone"):
            states.append(any_backbone(name, 1, "conv3").state_dict())
    first, again, other = states
    assert all(torch.equal(first[name], again[name]) for name in first)
    kernels = [name for name in first if first[name].ndim == 4]
    assert kernels
    assert not any(torch.equal(first[name], other[name]) for name in kernels)


@pytest.mark.parametrize("batch_norm", ["batch", "running"])
def test_a_frozen_copy_has_no_gradient_and_the_original_keeps_its_own(
    batch_norm: TeacherBatchNorm,
) -> None:
    backbone = tiny(1, "conv3")
    frozen = frozen_copy(backbone, batch_norm)
    assert not any(p.requires_grad for p in frozen.parameters())
    assert not frozen(images(1)).requires_grad
    assert all(p.requires_grad for p in backbone.parameters())
    assert backbone.training
    assert backbone.stem[1].running_mean is not None


@pytest.mark.parametrize("batch_norm", ["batch", "running"])
def test_a_frozen_copy_shares_nothing_with_the_original(batch_norm: TeacherBatchNorm) -> None:
    backbone = tiny(1, "conv3")
    frozen = frozen_copy(backbone, batch_norm)
    before = {name: tensor.clone() for name, tensor in frozen.state_dict().items()}
    expected = frozen(images(1))
    backbone(images(1))
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.add_(1)
    assert torch.equal(frozen(images(1)), expected)
    assert all(torch.equal(tensor, before[name]) for name, tensor in frozen.state_dict().items())


def kinds(module: nn.Sequential) -> list[str]:
    return [type(layer).__name__ for layer in module]


def test_a_head_without_batchnorm_is_linear_layers_with_relu_between() -> None:
    head = mlp([5, 7, 6, 3], batch_norm=False)
    assert kinds(head) == ["Linear", "ReLU", "Linear", "ReLU", "Linear"]
    assert [head[i].weight.shape for i in (0, 2, 4)] == [(7, 5), (6, 7), (3, 6)]
    assert all(head[i].bias is not None for i in (0, 2, 4))
    assert head(torch.zeros(4, 5)).shape == (4, 3)


def test_a_head_with_batchnorm_normalises_its_hidden_layers_only() -> None:
    head = mlp([5, 7, 3], batch_norm=True)
    assert kinds(head) == ["Linear", "BatchNorm1d", "ReLU", "Linear"]
    assert head[0].bias is None
    assert head[1].num_features == 7
    assert head[3].bias is not None


@pytest.mark.parametrize("batch_norm", [True, False])
def test_a_head_of_two_widths_is_one_linear_layer(batch_norm: bool) -> None:
    head = mlp([5, 3], batch_norm=batch_norm)
    assert kinds(head) == ["Linear"]
    assert head[0].bias is not None
