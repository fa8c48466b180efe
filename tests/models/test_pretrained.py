"""Weights that were trained elsewhere: fitted to a backbone by name and shape, or refused."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import resnet

from pipeline.models.backbone import Backbone
from pipeline.models.pretrained import load_pretrained
from pipeline.models.resnet import ResNet18
from pipeline.models.small_resnet import SmallResNet
from pipeline.seeding import seeded_initialization

Tensors = dict[str, Tensor]
tiny = functools.partial(SmallResNet, widths=[4, 6], blocks=1)


def seeded(make: Callable[[], nn.Module], seed: int) -> nn.Module:
    with seeded_initialization(seed, "test"):
        return make()


@functools.cache
def torchvision_network() -> nn.Module:
    network = seeded(lambda: resnet.resnet18(num_classes=7), 1)
    for buffer in network.buffers():  # as after training
        if buffer.is_floating_point():
            buffer.uniform_(0.5, 1.5, generator=torch.Generator().manual_seed(0))
    return network.eval()


@functools.cache
def new_resnet() -> Backbone:
    return ResNet18(3, "conv7_maxpool").eval()


def below(prefix: str, tensors: Tensors) -> Tensors:
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def test_torchvisions_weights_give_torchvisions_features() -> None:
    network = torchvision_network()
    backbone = ResNet18(3, "conv7_maxpool")
    assert load_pretrained(backbone, network.state_dict()) == []
    images = torch.rand(2, 3, 40, 40, generator=torch.Generator().manual_seed(3))
    features = nn.Sequential(*list(network.children())[:-1])
    with torch.no_grad():
        expected, found = features(images).flatten(1), backbone.eval()(images)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda own: own,
        lambda own: below("method.backbone", own),
        lambda own: below("encoder", own) | {"projector.0.weight": torch.ones(2)},
        lambda own: below("backbone", own) | below("momentum_backbone", own),
        lambda own: below("module.backbone", own),
        lambda own: own | {"fc.weight": torch.ones(3, 6), "fc.bias": torch.ones(3)},
        lambda own: {n: t for n, t in own.items() if not n.endswith("num_batches_tracked")},
        lambda own: {n: t.half().float() if t.is_floating_point() else t for n, t in own.items()},
    ],
    ids=["own", "state", "reference", "solo-learn", "parallel", "classifier", "old", "any"],
)
def test_a_backbone_is_found_wherever_a_file_has_it(wrap: Callable[[Tensors], Tensors]) -> None:
    source = seeded(lambda: tiny(1, "conv3"), 1)
    given = wrap(dict(source.state_dict()))
    backbone = tiny(1, "conv3")
    assert load_pretrained(backbone, given) == []
    for name, tensor in backbone.state_dict().items():
        if "num_batches" not in name:
            torch.testing.assert_close(tensor, source.state_dict()[name], rtol=1e-3, atol=1e-3)


def test_own_names_of_a_resnet_are_taken_too() -> None:
    source = seeded(lambda: ResNet18(3, "conv3"), 1)
    backbone = ResNet18(3, "conv3")
    load_pretrained(backbone, source.state_dict())
    assert all(map(torch.equal, backbone.state_dict().values(), source.state_dict().values()))


def test_weights_for_grey_images_give_the_same_features_of_grey_images_in_colour() -> None:
    source = seeded(lambda: tiny(1, "conv3"), 1).eval()
    colour = tiny(3, "conv3").eval()
    (remark,) = load_pretrained(colour, source.state_dict())
    assert remark == "stem.0.weight was made for 1 channels and is adapted to 3"
    grey = tiny(1, "conv3").eval()
    load_pretrained(grey, colour.state_dict())
    images = torch.rand(2, 1, 9, 9)
    with torch.no_grad():
        expected = source(images)
        torch.testing.assert_close(colour(images.expand(-1, 3, -1, -1)), expected)
        torch.testing.assert_close(grey(images), expected)


def without_two(own: Tensors) -> Tensors:
    return {name: t for name, t in own.items() if not name.startswith("stem.0")}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without_two, "1 missing: stem.0.weight"),
        (lambda own: own | {"extra": torch.ones(1)}, "1 unknown: extra"),
        (
            lambda own: own | {"stem.0.weight": torch.ones(4, 1, 7, 7)},
            "1 of other shapes: stem.0.weight is 4×1×7×7 and has to be 4×1×3×3",
        ),
        (
            lambda own: own | {"stem.0.weight": torch.full((4, 1, 3, 3), torch.nan)},
            "1 not finite: stem.0.weight",
        ),
        (
            lambda own: {"a": torch.ones(1)},
            "30 missing: stem.0.weight, stem.1.weight, stem.1.bias, stem.1.running_mean and 26 "
            "more; 1 unknown: a",
        ),
        (lambda own: {}, "30 missing"),
    ],
    ids=["missing", "unknown", "shape", "nan", "other network", "nothing"],
)
def test_what_does_not_fit_is_named_and_the_backbone_stays(
    change: Callable[[Tensors], Tensors], said: str
) -> None:
    backbone = tiny(1, "conv3")
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    source = seeded(lambda: tiny(1, "conv3"), 1)
    with pytest.raises(ValueError, match=said.replace("(", r"\(")):
        load_pretrained(backbone, change(dict(source.state_dict())))
    assert all(torch.equal(backbone.state_dict()[name], before[name]) for name in before)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda tensor: tensor.to_sparse(),
        lambda tensor: tensor.to("meta"),
        lambda tensor: tensor.to(torch.complex64),
        lambda tensor: tensor.to(torch.int8),
    ],
)
def test_numbers_of_another_kind_are_refused_by_name(spoil: Callable[[Tensor], Tensor]) -> None:
    tensors = new_resnet().state_dict()
    tensors["stem.0.weight"] = spoil(tensors["stem.0.weight"])
    with pytest.raises(ValueError, match=r"1 no plain real numbers: stem\.0\.weight"):
        load_pretrained(new_resnet(), tensors)
