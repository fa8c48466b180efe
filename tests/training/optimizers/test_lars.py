"""LARS: against its definition, a parameter at a time."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipeline.training.optimizers.lars import LARS

W = (3.0, 4.0)  # of length 5


def tensor(values: tuple[float, ...] | list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def lars(*weights: tuple[float, ...], **options: Any) -> LARS:
    settings = {
        "lr": 0.1,
        "momentum": 0.9,
        "weight_decay": 0.0,
        "trust_coefficient": 0.02,
        "clip": False,
        "adaptive": True,
    } | options
    adaptive = settings.pop("adaptive")
    parameters = [nn.Parameter(tensor(weight)) for weight in weights]
    return LARS([{"params": parameters, "adaptive": adaptive}], **settings)


def weights(optimizer: LARS) -> list[Tensor]:
    return optimizer.param_groups[0]["params"]


def take_step(optimizer: LARS, *gradients: tuple[float, ...]) -> list[list[float]]:
    for weight, gradient in zip(weights(optimizer), gradients, strict=True):
        weight.grad = tensor(gradient)
    optimizer.step()
    return [weight.tolist() for weight in weights(optimizer)]


def by_definition(
    weight: list[float], steps: list[tuple[float, list[float]]], decay: float, clip: bool
) -> list[float]:
    """Weights after steps of (rate, gradient) with m = 0.9 and η = 0.02."""
    velocity = [0.0] * len(weight)
    for rate, gradient in steps:
        length = math.sqrt(sum(w * w for w in weight))
        slope = math.sqrt(sum(g * g for g in gradient))
        local = 0.02 * length / (slope + decay * length)
        if clip:
            local = min(local / rate, 1)
        update = [local * (g + decay * w) for g, w in zip(gradient, weight, strict=True)]
        velocity = [0.9 * v + u for v, u in zip(velocity, update, strict=True)]
        weight = [w - rate * v for w, v in zip(weight, velocity, strict=True)]
    return weight


def test_a_step_is_that_computed_by_hand() -> None:
    # ‖w‖ = 5, ‖g‖ = 2: local = 0.02 · 5 / 2 = 0.05.
    (w,) = take_step(lars(W), (1.2, 1.6))
    assert w == pytest.approx([3 - 0.1 * 0.05 * 1.2, 4 - 0.1 * 0.05 * 1.6])


def test_a_clipped_step_is_that_computed_by_hand() -> None:
    # local / lr = 0.05 / 0.1.
    (w,) = take_step(lars(W, clip=True), (1.2, 1.6))
    assert w == pytest.approx([3 - 0.1 * 0.5 * 1.2, 4 - 0.1 * 0.5 * 1.6])


def test_a_groups_rate_factor_scales_its_steps_whether_they_are_clipped_or_not() -> None:
    for gradient in ((1.2, 1.6), (0.3, 0.4)):
        (whole,) = take_step(lars(W, clip=True), gradient)
        slow = lars(W, clip=True, lr=0.02)
        slow.param_groups[0]["rate_factor"] = 0.2
        (part,) = take_step(slow, gradient)
        moved = [0.2 * (after - before) for before, after in zip(W, whole, strict=True)]
        assert [a - b for a, b in zip(part, W, strict=True)] == pytest.approx(moved)


def test_clipping_stops_at_the_plain_step() -> None:
    # ‖g‖ = 0.5: local = 0.2, which is twice the rate.
    (free,) = take_step(lars(W), (0.3, 0.4))
    (clipped,) = take_step(lars(W, clip=True), (0.3, 0.4))
    assert free == pytest.approx([3 - 0.1 * 0.2 * 0.3, 4 - 0.1 * 0.2 * 0.4])
    assert clipped == pytest.approx([3 - 0.1 * 0.3, 4 - 0.1 * 0.4])


def test_weight_decay_is_in_the_local_rate_and_in_the_step() -> None:
    # local = 0.02 · 5 / (2 + 0.4 · 5) = 0.025; g + β w = (1.2 + 1.2, 1.6 + 1.6).
    (w,) = take_step(lars(W, weight_decay=0.4), (1.2, 1.6))
    assert w == pytest.approx([3 - 0.1 * 0.025 * 2.4, 4 - 0.1 * 0.025 * 3.2])


def test_momentum_over_two_steps_is_that_computed_by_hand() -> None:
    optimizer = lars(W, momentum=0.5, clip=True)
    take_step(optimizer, (2.0, 0.0))  # local = 0.05 / 0.1; v = (1, 0)
    assert weights(optimizer)[0].tolist() == pytest.approx([2.9, 4])
    length = math.sqrt(2.9**2 + 4**2)
    second = 0.02 * length / 4 / 0.1
    (w,) = take_step(optimizer, (0.0, 4.0))
    assert w == pytest.approx([2.9 - 0.1 * 0.5 * 1, 4 - 0.1 * second * 4])


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("decay", [0.0, 1e-4, 0.5])
def test_many_steps_with_a_changing_rate_are_the_definition(clip: bool, decay: float) -> None:
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(6, generator=generator, dtype=torch.float64)
    steps = []
    parameter = nn.Parameter(start.clone().reshape(2, 3))
    optimizer = LARS(
        [parameter], lr=1.0, momentum=0.9, weight_decay=decay, trust_coefficient=0.02, clip=clip
    )
    for rate in (0.001, 0.1, 0.4, 0.02, 1.0):
        gradient = 0.1 * torch.randn(6, generator=generator, dtype=torch.float64)
        steps.append((rate, gradient.tolist()))
        optimizer.param_groups[0]["lr"] = rate
        parameter.grad = gradient.reshape(2, 3)
        optimizer.step()
    expected = by_definition(start.tolist(), steps, decay, clip)
    assert parameter.flatten().tolist() == pytest.approx(expected, rel=1e-6)


def test_each_parameter_has_a_rate_of_its_own() -> None:
    together = take_step(lars(W, (30.0, 40.0)), (1.2, 1.6), (1.2, 1.6))
    assert together[0] == take_step(lars(W), (1.2, 1.6))[0]
    # Ten times the weight takes ten times the step.
    assert together[1] == pytest.approx([30 - 0.1 * 0.5 * 1.2, 40 - 0.1 * 0.5 * 1.6])


@pytest.mark.parametrize("clip", [False, True])
def test_a_weight_of_zero_takes_a_plain_step(clip: bool) -> None:
    (w,) = take_step(lars((0.0, 0.0), clip=clip, weight_decay=0.5), (1.2, 1.6))
    assert w == pytest.approx([-0.12, -0.16])


@pytest.mark.parametrize("clip", [False, True])
def test_a_gradient_of_zero_moves_nothing_but_by_momentum(clip: bool) -> None:
    optimizer = lars(W, clip=clip, weight_decay=0.5)
    assert take_step(optimizer, (0.0, 0.0)) == [[3, 4]]
    (moved,) = take_step(optimizer, (1.2, 1.6))
    (again,) = take_step(optimizer, (0.0, 0.0))
    expected = [m - 0.9 * (w - m) for m, w in zip(moved, W, strict=True)]
    assert again == pytest.approx(expected)


@pytest.mark.parametrize("clip", [False, True])
def test_a_rate_of_zero_moves_nothing_and_leaves_the_state_finite(clip: bool) -> None:
    optimizer = lars(W, clip=clip, lr=0.0, weight_decay=0.5)
    assert take_step(optimizer, (1.2, 1.6)) == [[3, 4]]
    optimizer.param_groups[0]["lr"] = 0.1
    (w,) = take_step(optimizer, (1.2, 1.6))
    assert all(math.isfinite(value) and abs(value) < 5 for value in w)


def test_a_parameter_without_a_gradient_is_left_out() -> None:
    optimizer = lars(W, (1.0, 2.0), weight_decay=0.5)
    weights(optimizer)[0].grad = tensor((1.2, 1.6))
    optimizer.step()
    assert weights(optimizer)[0].tolist() != list(W)
    assert weights(optimizer)[1].tolist() == [1, 2]
    assert weights(optimizer)[1] not in optimizer.state


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_a_group_that_is_not_adaptive_is_sgd_with_momentum(decay: float) -> None:
    # As pipeline.training.optim does with biases and norms: one group of each kind.
    plain, adaptive = nn.Parameter(tensor(W)), nn.Parameter(tensor(W))
    optimizer = LARS(
        [{"params": [adaptive]}, {"params": [plain], "adaptive": False, "weight_decay": decay}],
        lr=0.1,
        momentum=0.9,
        weight_decay=0.01,
        trust_coefficient=0.02,
        clip=True,
    )
    twin = nn.Parameter(tensor(W))
    reference = torch.optim.SGD([twin], lr=0.1, momentum=0.9, weight_decay=decay)
    generator = torch.Generator().manual_seed(0)
    steps = []
    for rate in (0.1, 0.3, 0.05, 0.2):
        gradient = torch.randn(2, generator=generator, dtype=torch.float64)
        steps.append((rate, gradient.tolist()))
        for group in (*optimizer.param_groups, *reference.param_groups):
            group["lr"] = rate
        for parameter in (plain, adaptive, twin):
            parameter.grad = gradient.clone()
        optimizer.step()
        reference.step()
        torch.testing.assert_close(plain, twin, rtol=1e-12, atol=1e-12)
    expected = by_definition(list(W), steps, 0.01, clip=True)
    assert adaptive.tolist() == pytest.approx(expected, rel=1e-6)


def test_a_step_leaves_the_gradient_alone() -> None:
    optimizer = lars(W, weight_decay=0.5)
    take_step(optimizer, (1.2, 1.6))
    gradient = weights(optimizer)[0].grad
    assert gradient is not None
    assert gradient.tolist() == [1.2, 1.6]


def test_the_closure_computes_the_loss_with_gradients_before_the_step() -> None:
    optimizer = lars(W)
    (weight,) = weights(optimizer)

    def closure() -> float:
        optimizer.zero_grad()
        loss = weight.square().sum() / 2
        torch.autograd.backward(loss)
        return loss.item()

    with torch.no_grad():
        assert optimizer.step(closure) == 12.5
    # g = w: local = η.
    assert weight.tolist() == pytest.approx([3 - 0.1 * 0.02 * 3, 4 - 0.1 * 0.02 * 4])
    assert optimizer.step() is None


def test_a_saved_state_goes_on_bit_for_bit() -> None:
    def network() -> nn.Linear:
        torch.manual_seed(0)
        return nn.Linear(3, 2)

    def optimizer_of(line: nn.Linear, lr: float) -> LARS:
        groups = [{"params": [line.weight]}, {"params": [line.bias], "adaptive": False}]
        return LARS(
            groups, lr=lr, momentum=0.9, weight_decay=0.1, trust_coefficient=0.02, clip=True
        )

    def train(line: nn.Linear, optimizer: LARS, inputs: Tensor) -> None:
        for x in inputs:
            optimizer.zero_grad()
            torch.autograd.backward(line(x).square().sum())
            optimizer.step()

    inputs = torch.randn(6, 4, 3, generator=torch.Generator().manual_seed(1))
    with torch.random.fork_rng(devices=[]):
        whole, first, second = network(), network(), network()
    optimizer = optimizer_of(whole, 0.1)
    train(whole, optimizer, inputs)

    before = optimizer_of(first, 0.1)
    train(first, before, inputs[:3])
    saved = copy.deepcopy((first.state_dict(), before.state_dict()))
    second.load_state_dict(saved[0], strict=True)
    after = optimizer_of(second, 7.0)
    after.load_state_dict(saved[1])
    assert [group["lr"] for group in after.param_groups] == [0.1, 0.1]
    assert [group["adaptive"] for group in after.param_groups] == [True, False]
    train(second, after, inputs[3:])
    assert torch.equal(second.weight, whole.weight)
    assert torch.equal(second.bias, whole.bias)
    momenta = zip(after.state.values(), optimizer.state.values(), strict=True)
    assert all(torch.equal(a["momentum_buffer"], b["momentum_buffer"]) for a, b in momenta)
