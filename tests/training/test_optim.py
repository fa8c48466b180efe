"""Optimizers and the learning rate schedule."""

from __future__ import annotations

import math
from functools import partial
from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from pipeline.models.heads import mlp
from pipeline.models.small_resnet import SmallResNet
from pipeline.training.optim import Optimization, build_optimizer
from pipeline.training.optimizers.adamw import AdamW
from pipeline.training.optimizers.lars import LARS
from pipeline.training.optimizers.sgd import SGD
from pipeline.training.schedule import warmup_cosine

Name = Literal["adamw", "sgd", "lars"]
NAMES: list[Name] = ["adamw", "sgd", "lars"]
FACTORIES = {
    "adamw": AdamW,
    "sgd": SGD,
    "lars": partial(LARS, trust_coefficient=0.5, clip=False),
}


def optimization(name: Name, decay: float = 0.5, exclude: bool = True) -> Optimization:
    return Optimization(
        FACTORIES[name],
        0.1,
        weight_decay=decay,
        exclude_norms_and_biases=exclude,
        epochs=1,
        warmup_epochs=0,
        warmup_start=0,
        final_learning_rate=0,
    )


class Line(nn.Module):
    """weight · x + bias, one number each."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[2.0]]))
        self.bias = nn.Parameter(torch.tensor([1.0]))

    def forward(self, x: float) -> Tensor:
        return (self.weight * x).sum() + self.bias.sum()


def descend(line: Line, optimizer: torch.optim.Optimizer, x: float) -> tuple[float, float]:
    optimizer.zero_grad()
    line(x).backward()
    optimizer.step()
    return line.weight.item(), line.bias.item()


@pytest.mark.parametrize(
    ("step", "share"),
    [
        (0, 1 / 10),
        (4, 5 / 10),
        (9, 1.0),
        (10, 1.0),
        (10 + 30, 0.5 * (1 + math.cos(math.pi / 3))),
        (10 + 45, 0.5),
        (10 + 60, 0.25),
        (100, 0.0),
        (150, 0.0),
    ],
)
def test_the_rate_rises_in_a_line_and_falls_along_a_cosine(step: int, share: float) -> None:
    assert warmup_cosine(step, 10, 100) == pytest.approx(share, abs=1e-12)


def test_without_a_warmup_the_rate_starts_at_its_peak() -> None:
    assert warmup_cosine(0, 0, 100) == 1
    assert warmup_cosine(50, 0, 100) == pytest.approx(0.5)
    assert warmup_cosine(100, 0, 100) == pytest.approx(0, abs=1e-12)


def test_the_rate_never_rises_after_the_warmup_and_is_positive_until_the_end() -> None:
    shares = [warmup_cosine(step, 7, 50) for step in range(50)]
    assert shares[:7] == sorted(shares[:7])
    assert shares[7:] == sorted(shares[7:], reverse=True)
    assert all(0 < share <= 1 for share in shares)


@pytest.mark.parametrize("steps", [1, 2, 10])
def test_a_task_of_warmup_alone_has_a_rate_at_every_step(steps: int) -> None:
    assert [warmup_cosine(step, steps, steps) for step in range(steps + 1)][-2:] == [1, 1]


@pytest.mark.parametrize("name", NAMES)
def test_only_matrices_and_kernels_have_weight_decay(name: Name) -> None:
    backbone = SmallResNet(1, "conv3", widths=[2, 4], blocks=1)
    predictor = mlp([4, 3, 4], batch_norm=True)
    names = {p: name for m in (backbone, predictor) for name, p in m.named_parameters()}
    decayed, left_alone = build_optimizer([backbone, predictor], optimization(name)).param_groups
    assert decayed["weight_decay"] == 0.5
    assert left_alone["weight_decay"] == 0
    assert decayed["lr"] == left_alone["lr"] == 0.1
    assert {p.ndim for p in decayed["params"]} == {2, 4}
    assert all(names[p].endswith("weight") for p in decayed["params"])
    assert {p.ndim for p in left_alone["params"]} == {1}
    assert set(decayed["params"] + left_alone["params"]) == set(names)


def test_sgd_steps_are_those_computed_by_hand() -> None:
    line = Line()
    optimizer = build_optimizer([line], optimization("sgd"))
    # Gradients: x for the weight, plus decay 0.5 times the weight; 1 for the bias.
    velocity = 3 + 0.5 * 2.0
    weight = 2.0 - 0.1 * velocity
    assert descend(line, optimizer, 3.0) == pytest.approx((weight, 1 - 0.1 * 1))
    velocity = 0.9 * velocity + (5 + 0.5 * weight)
    weight = weight - 0.1 * velocity
    assert descend(line, optimizer, 5.0) == pytest.approx((weight, 0.9 - 0.1 * (0.9 + 1)))


def test_the_first_adamw_step_is_that_computed_by_hand() -> None:
    line = Line()
    optimizer = build_optimizer([line], optimization("adamw"))
    # The decay shrinks the weight by rate · decay; the step is then the rate itself, as
    # the first gradient is divided by its own size.
    weight = 2.0 * (1 - 0.1 * 0.5) - 0.1
    assert descend(line, optimizer, 3.0) == pytest.approx((weight, 1 - 0.1))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_fused_steps_are_those_of_a_parameter_at_a_time_in_every_layout(
    name: Name, layout: torch.memory_format
) -> None:
    plain = torch.optim.AdamW if name == "adamw" else partial(torch.optim.SGD, momentum=0.9)
    found = []
    for fused in (True, False):
        torch.manual_seed(0)
        backbone = SmallResNet(3, "conv3", widths=[4, 8], blocks=1).double()
        backbone = backbone.to(memory_format=layout)
        optimizer = build_optimizer([backbone], optimization(name))
        if not fused:
            groups = [
                {"params": group["params"], "weight_decay": group["weight_decay"]}
                for group in optimizer.param_groups
            ]
            optimizer = plain(groups, lr=0.1, fused=False, foreach=False)
        for _ in range(3):
            images = torch.randn(4, 3, 8, 8, dtype=torch.double)
            optimizer.zero_grad()
            backbone(images.contiguous(memory_format=layout)).square().mean().backward()
            optimizer.step()
        found.append(backbone.state_dict())
    for one, other in zip(found[0].values(), found[1].values(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_frozen_parameters_are_left_out(name: Name) -> None:
    line, frozen = Line(), Line().requires_grad_(False)
    optimizer = build_optimizer([line, frozen], optimization(name))
    held = [p for group in optimizer.param_groups for p in group["params"]]
    assert len(held) == 2
    assert set(held) == {line.weight, line.bias}
    descend(line, optimizer, 3.0)
    assert (frozen.weight.item(), frozen.bias.item()) == (2, 1)


@pytest.mark.parametrize("name", NAMES)
def test_norms_and_biases_can_be_treated_as_all_others(name: Name) -> None:
    predictor = mlp([4, 3, 4], batch_norm=True)
    (everything,) = build_optimizer([predictor], optimization(name, exclude=False)).param_groups
    assert everything["weight_decay"] == 0.5
    assert set(everything["params"]) == set(predictor.parameters())
    assert everything.get("adaptive", True)


def test_lars_takes_its_options_and_leaves_norms_and_biases_out() -> None:
    optimizer = build_optimizer([Line()], optimization("lars"))
    assert isinstance(optimizer, LARS)
    weights, biases = optimizer.param_groups
    for group in (weights, biases):
        assert (group["momentum"], group["trust_coefficient"], group["clip"]) == (0.9, 0.5, False)
    assert (weights["adaptive"], biases["adaptive"]) == (True, False)


@pytest.mark.parametrize(
    ("step", "share"),
    [
        (0, 0.2 + 0.8 / 10),
        (4, 0.6),
        (9, 1.0),
        (10 + 45, 0.1 + 0.9 * 0.5),
        (100, 0.1),
    ],
)
def test_the_rate_rises_from_its_start_and_falls_to_its_end(step: int, share: float) -> None:
    assert warmup_cosine(step, 10, 100, start=0.2, final=0.1) == pytest.approx(share)
