"""Frozen layers keep weights and statistics, in the network and in copies of it."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from pipeline.models.freezing import freeze_until
from pipeline.models.frozen import frozen_copy
from pipeline.models.momentum import momentum_copy
from pipeline.models.resnet import ResNet18
from pipeline.models.small_resnet import SmallResNet
from pipeline.training.optim import group_parameters


def frozen_until(last: str) -> SmallResNet:
    backbone = SmallResNet(1, "conv3", widths=[4, 6], blocks=1)
    freeze_until(backbone, last)
    return backbone


def train_once(backbone: nn.Module) -> set[str]:
    """Take a step and return the names of what it changed."""
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    trainable = [p for p in backbone.parameters() if p.requires_grad]
    loss = backbone.train()(torch.rand(4, 1, 9, 9)).square().sum()
    if trainable:
        loss.backward()
        torch.optim.SGD(trainable, lr=1.0).step()
    return {
        name
        for name, tensor in backbone.state_dict().items()
        if not torch.equal(tensor, before[name])
    }


def test_a_step_changes_nothing_up_to_the_last_frozen_part() -> None:
    changed = train_once(frozen_until("blocks.0"))
    assert changed
    assert all(name.startswith("blocks.1.") for name in changed)
    assert "blocks.1.norm1.running_mean" in changed


@pytest.mark.parametrize("last", ["blocks.1", "blocks"])
def test_a_backbone_that_is_frozen_as_a_whole_stays(last: str) -> None:
    assert train_once(frozen_until(last)) == set()


def test_nothing_is_frozen_by_default() -> None:
    backbone = SmallResNet(1, "conv3", widths=[4, 6], blocks=1)
    assert train_once(backbone) == set(backbone.state_dict())


def test_no_optimizer_holds_what_is_frozen() -> None:
    backbone = frozen_until("blocks.0")
    held = {id(p) for group in group_parameters([backbone], True) for p in group["params"]}
    assert held == {id(p) for p in backbone.blocks[1].parameters()}


@pytest.mark.parametrize("last", ["layer2", "layers.1"])
def test_parts_have_torchvisions_names_and_their_own(last: str) -> None:
    backbone = ResNet18(1, "conv3")
    freeze_until(backbone, last)
    trains = {
        name.rpartition(".")[0].split(".")[1]
        for name, p in backbone.named_parameters()
        if p.requires_grad
    }
    assert trains == {"2", "3"}


def test_an_unknown_part_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'block.0' is no part .* did you mean 'blocks.0'\?"):
        frozen_until("block.0")
    with pytest.raises(ValueError, match="no part"):
        frozen_until("ste")


def test_a_momentum_network_is_frozen_alike() -> None:
    slow = momentum_copy(frozen_until("blocks.0"))
    assert all(name.startswith("blocks.1.") for name in train_once(slow))


def test_a_frozen_teacher_gives_the_features_of_frozen_layers_as_they_are() -> None:
    backbone = frozen_until("blocks.0")
    train_once(copy.deepcopy(backbone))
    images = torch.rand(4, 1, 9, 9)
    teacher = frozen_copy(backbone, "batch")
    backbone.train()
    with torch.no_grad():
        first = [nn.Sequential(net.stem, net.blocks[0])(images) for net in (backbone, teacher)]
        assert torch.equal(*first)
        # The last block uses the batch in both.
        assert torch.equal(backbone(images), teacher(images))
