"""Barlow Twins: the loss, its distillation and the method."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.methods.barlow_twins import BarlowTwins, barlow_twins_loss
from pipeline.methods.base import Encoded
from pipeline.seeding import seeded_initialization
from tests.support.definitions import SHAPES, draw
from tests.support.networks import parts_of_state, tiny_backbone, tiny_method

EPS = 1e-5  # of the variance, BatchNorm's
# Orthogonal columns of mean 0 and variance 1.
WHITE = torch.tensor([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], dtype=torch.float32)


def by_definition(z1: Tensor, z2: Tensor, weight: float, scale: float) -> float:
    first = [column - column.mean() for column in z1.double().numpy().T]
    second = [column - column.mean() for column in z2.double().numpy().T]
    lengths1 = [float(np.sqrt((x * x).mean() + EPS)) for x in first]
    lengths2 = [float(np.sqrt((y * y).mean() + EPS)) for y in second]
    total = 0.0
    for i, x in enumerate(first):
        for j, y in enumerate(second):
            correlation = float(x @ y) / len(x) / lengths1[i] / lengths2[j]
            total += (1 - correlation) ** 2 if i == j else weight * correlation**2
    return scale * total


def tiny_barlow_twins(size: int) -> BarlowTwins:
    with seeded_initialization(0, "test"):
        backbone = tiny_backbone()
        return BarlowTwins(backbone, projector=[16, size], redundancy_weight=0.03, scale=0.2)


@pytest.mark.parametrize("weight", [0.005, 2.0])
@pytest.mark.parametrize(("count", "size", "scale"), SHAPES)
def test_the_loss_is_its_definition(count: int, size: int, scale: float, weight: float) -> None:
    z1, z2 = draw(count, size, scale)
    expected = by_definition(z1, z2, weight, 0.1)
    assert barlow_twins_loss(z1, z2, weight, 0.1).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("count", "size", "scale"), SHAPES)
def test_the_loss_is_its_definition_on_identical_views(count: int, size: int, scale: float) -> None:
    z, _ = draw(count, size, scale)
    expected = by_definition(z, z, 0.005, 0.1)
    # 0 up to EPS where there is one dimension: float32 cannot say more of 1 - C.
    assert barlow_twins_loss(z, z, 0.005, 0.1).item() == pytest.approx(
        expected, rel=1e-5, abs=1e-10
    )
    exact = z.double()
    assert barlow_twins_loss(exact, exact, 0.005, 0.1).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("count", "size", "scale"), SHAPES)
def test_loss_and_distillation_of_the_method_are_the_definition(
    count: int, size: int, scale: float
) -> None:
    method = tiny_barlow_twins(size)
    z1, z2 = draw(count, size, scale)
    past1, past2 = draw(count, size, scale, seed=1)
    loss = method.loss((z1, z2), Encoded((z1, z2), (z1, z2)))
    assert loss.shape == ()
    assert loss.item() == pytest.approx(by_definition(z1, z2, 0.03, 0.2), rel=1e-5)
    expected = by_definition(z1, past1, 0.03, 0.2)
    assert method.compare(z1, past1).item() == pytest.approx(expected, rel=1e-5)
    both = (expected + by_definition(z2, past2, 0.03, 0.2)) / 2
    assert method.distill((z1, z2), (past1, past2)).item() == pytest.approx(both, rel=1e-5)


def test_gradients_agree_with_finite_differences() -> None:
    first, second = (z.double().requires_grad_() for z in draw(5, 3))
    assert torch.autograd.gradcheck(lambda a, b: barlow_twins_loss(a, b, 0.3, 0.1), (first, second))


def test_white_views_that_are_the_same_cost_nothing_but_the_epsilon_of_the_variance() -> None:
    # Variance 1 gives C_ii = 1 / (1 + EPS), which is what is left of the loss.
    loss = barlow_twins_loss(WHITE, WHITE, 1.0, 1.0).item()
    assert 0 <= loss <= 3 * (2 * EPS) ** 2


def test_opposite_white_views_cost_four_a_dimension() -> None:
    loss = barlow_twins_loss(WHITE, -WHITE, 1.0, 0.1)
    assert loss.item() == pytest.approx(0.1 * 3 * 4, rel=2 * EPS)


def test_redundant_dimensions_cost_their_weight_for_each_ordered_pair() -> None:
    z = WHITE[:, :1].expand(4, 3)
    loss = barlow_twins_loss(z, z, 0.5, 1.0)
    assert loss.item() == pytest.approx(0.5 * 3 * 2, rel=3 * EPS)


def test_the_loss_does_not_depend_on_shift_and_scale_of_a_dimension() -> None:
    z1, z2 = (z.double() for z in draw(32, 6))
    shift, scale = draw(1, 6, seed=1)
    moved = z1 * (1 + scale.abs().double()) * 10 + 5 * shift.double()
    # Up to EPS over the smallest variance, here about a half.
    torch.testing.assert_close(
        barlow_twins_loss(moved, z2, 0.5, 1.0),
        barlow_twins_loss(z1, z2, 0.5, 1.0),
        rtol=1e-4,
        atol=0,
    )


def test_the_loss_depends_neither_on_the_order_of_the_images_nor_on_that_of_the_views() -> None:
    z1, z2 = draw(9, 6)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    loss = barlow_twins_loss(z1, z2, 0.5, 1.0)
    torch.testing.assert_close(barlow_twins_loss(z1[order], z2[order], 0.5, 1.0), loss)
    torch.testing.assert_close(barlow_twins_loss(z2, z1, 0.5, 1.0), loss)


@pytest.mark.parametrize("count", [1, 6])
@pytest.mark.parametrize("value", [0.0, 1.0, -1e3])
def test_vectors_that_do_not_vary_have_no_correlation_and_a_finite_gradient(
    count: int, value: float
) -> None:
    z1, z2 = (torch.full((count, 3), value, requires_grad=True) for _ in range(2))
    loss = barlow_twins_loss(z1, z2, 0.5, 0.1)
    torch.autograd.backward(loss)
    assert loss.item() == pytest.approx(0.1 * 3)
    for z in (z1, z2):
        assert z.grad is not None
        assert z.grad.isfinite().all()


def test_the_loss_is_float32_under_autocast() -> None:
    first, second = draw(64, 32)
    half_first, half_second = first.bfloat16(), second.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        from_half = barlow_twins_loss(half_first, half_second, 0.5, 0.1)
        from_full = barlow_twins_loss(first, second, 0.5, 0.1)
    assert from_half.dtype == from_full.dtype == torch.float32
    # No arithmetic in bfloat16: only the rounding of what came in may show.
    wide = barlow_twins_loss(half_first.float(), half_second.float(), 0.5, 0.1)
    torch.testing.assert_close(from_half, wide)
    torch.testing.assert_close(from_full, barlow_twins_loss(first, second, 0.5, 0.1))
    assert from_half.item() == pytest.approx(from_full.item(), rel=5e-3)


def test_barlow_twins_trains_its_backbone_on_a_batch_of_any_size() -> None:
    for count in (1, 2, 5):
        method = tiny_barlow_twins(6)
        views = tuple(torch.rand(2, count, 1, 8, 8, generator=torch.Generator().manual_seed(0)))
        encoded = method.encode(views)
        torch.autograd.backward(method.loss(views, encoded))
        assert [z.shape for z in encoded.projections] == [(count, 6), (count, 6)]
        assert method.projection_dim == 6
        for parameter in method.parameters():
            assert parameter.grad is not None
            assert parameter.grad.isfinite().all()


def test_a_state_holds_what_crosses_a_task_boundary() -> None:
    assert parts_of_state(tiny_method("barlow_twins")) == {"backbone", "projector"}
