"""VICReg: the three terms, their distillation and the method."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from pipeline.methods.base import Encoded
from pipeline.methods.vicreg import VICReg, covariance, invariance, variance
from pipeline.seeding import seeded_initialization
from tests.support.definitions import SHAPES, draw
from tests.support.networks import parts_of_state, tiny_backbone, tiny_method

Term = Callable[[Tensor], Tensor]


def invariance_by_definition(z1: Tensor, z2: Tensor) -> float:
    pairs = list(zip(z1.double().numpy().ravel(), z2.double().numpy().ravel(), strict=True))
    return float(sum((a - b) ** 2 for a, b in pairs) / len(pairs))


def covariance_matrix(z: Tensor) -> list[list[float]]:
    columns = [column - column.mean() for column in z.double().numpy().T]
    return [[float((a * b).sum()) / (len(z) - 1) for b in columns] for a in columns]


def variance_by_definition(z: Tensor) -> float:
    matrix = covariance_matrix(z)
    hinges = [max(0.0, 1 - (matrix[i][i] + 1e-4) ** 0.5) for i in range(len(matrix))]
    return sum(hinges) / len(hinges)


def covariance_by_definition(z: Tensor) -> float:
    matrix = covariance_matrix(z)
    size = len(matrix)
    return sum(matrix[i][j] ** 2 for i in range(size) for j in range(size) if i != j) / size


def loss_by_definition(z1: Tensor, z2: Tensor) -> float:
    return (
        25 * invariance_by_definition(z1, z2)
        + 25 * (variance_by_definition(z1) + variance_by_definition(z2))
        + 1 * (covariance_by_definition(z1) + covariance_by_definition(z2))
    )


def tiny_vicreg(
    size: int, invariance: float = 25, variance: float = 25, covariance: float = 1
) -> VICReg:
    with seeded_initialization(0, "test"):
        return VICReg(
            tiny_backbone(),
            projector=[16, size],
            invariance_weight=invariance,
            variance_weight=variance,
            covariance_weight=covariance,
        )


@pytest.mark.parametrize(("count", "size", "scale"), SHAPES)
def test_each_term_is_its_definition(count: int, size: int, scale: float) -> None:
    z1, z2 = draw(count, size, scale)
    assert invariance(z1, z2).item() == pytest.approx(invariance_by_definition(z1, z2), rel=1e-5)
    assert variance(z1).item() == pytest.approx(variance_by_definition(z1), rel=1e-5)
    expected = covariance_by_definition(z1)
    # 0 exactly where there is one dimension.
    assert covariance(z1).item() == pytest.approx(expected, rel=1e-5, abs=0)


@pytest.mark.parametrize(("count", "size", "scale"), SHAPES)
def test_loss_and_distillation_of_the_method_are_their_definitions(
    count: int, size: int, scale: float
) -> None:
    method = tiny_vicreg(size)
    z1, z2 = draw(count, size, scale)
    past1, past2 = draw(count, size, scale, seed=1)
    loss = method.loss((z1, z2), Encoded((z1, z2), (z1, z2)))
    assert loss.shape == ()
    assert loss.item() == pytest.approx(loss_by_definition(z1, z2), rel=1e-5)
    first = 25 * invariance_by_definition(z1, past1)
    assert method.compare(z1, past1).item() == pytest.approx(first, rel=1e-5)
    both = (first + 25 * invariance_by_definition(z2, past2)) / 2
    assert method.distill((z1, z2), (past1, past2)).item() == pytest.approx(both, rel=1e-5)


def test_the_loss_of_identical_views_is_twice_their_variance_and_covariance() -> None:
    z, _ = draw(6, 5)
    expected = 25 * 2 * variance_by_definition(z) + 2 * covariance_by_definition(z)
    loss = tiny_vicreg(5).loss((z, z), Encoded((z, z), (z, z)))
    assert loss.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("weights", [(2.0, 0.0, 0.0), (0.0, 3.0, 0.0), (0.0, 0.0, 5.0)])
def test_each_weight_is_that_of_its_own_term(weights: tuple[float, float, float]) -> None:
    z1, z2 = draw(6, 5)
    terms = [
        invariance_by_definition(z1, z2),
        variance_by_definition(z1) + variance_by_definition(z2),
        covariance_by_definition(z1) + covariance_by_definition(z2),
    ]
    method = tiny_vicreg(5, *weights)
    expected = sum(w * term for w, term in zip(weights, terms, strict=True))
    loss = method.loss((z1, z2), Encoded((z1, z2), (z1, z2)))
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    assert method.compare(z1, z2).item() == pytest.approx(weights[0] * terms[0], rel=1e-5)


def test_gradients_agree_with_finite_differences() -> None:
    first, second = (z.double().requires_grad_() for z in draw(5, 3))
    assert torch.autograd.gradcheck(invariance, (first, second))
    assert torch.autograd.gradcheck(variance, (first,))
    assert torch.autograd.gradcheck(covariance, (first,))
    # The gradient of the variance was not 0 for want of a dimension below the target.
    assert variance_by_definition(first.detach()) > 0


def test_equal_vectors_are_invariant() -> None:
    z, _ = draw(6, 5, 1e3)
    assert invariance(z, z).item() == 0


def test_dimensions_that_spread_by_one_or_more_have_no_variance_term() -> None:
    z = torch.tensor([[1.0, -5.0], [-1.0, 5.0]])  # standard deviations √2 and √50
    assert variance(z).item() == 0
    assert variance(z / 10).item() > 0


def test_a_constant_dimension_costs_the_target_less_the_root_of_epsilon() -> None:
    assert variance(torch.ones(4, 3)).item() == pytest.approx(1 - 1e-4**0.5)


def test_decorrelated_dimensions_have_no_covariance_whatever_their_variance_and_mean() -> None:
    white = torch.tensor([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    scale, shift = torch.tensor([1.0, 2, 8]), torch.tensor([0.0, 4, -16])
    assert covariance(white * scale + shift).item() == 0


def test_two_equal_dimensions_cost_the_square_of_their_variance() -> None:
    z = torch.tensor([[1.0], [-1.0], [3.0], [-3.0]]).expand(4, 2)
    # Both off-diagonal entries are 20 / 3; the sum is over D = 2.
    assert covariance(z).item() == pytest.approx((20 / 3) ** 2)


@pytest.mark.parametrize("term", [variance, covariance])
def test_terms_of_the_batch_do_not_depend_on_a_shift(term: Term) -> None:
    z, shift = (v.double() for v in draw(8, 4))
    torch.testing.assert_close(term(z + shift[:1]), term(z))


@pytest.mark.parametrize("term", [variance, covariance])
def test_one_vector_alone_is_refused(term: Term) -> None:
    with pytest.raises(ValueError, match="needs 2 or more vectors, got 1"):
        term(torch.ones(1, 3))


def test_the_method_refuses_one_image_but_distils_it() -> None:
    method = tiny_vicreg(4)
    z1, z2 = draw(1, 4)
    with pytest.raises(ValueError, match="needs 2 or more vectors, got 1"):
        method.loss((z1, z2), Encoded((z1, z2), (z1, z2)))
    expected = 25 * invariance_by_definition(z1, z2)
    assert method.distill((z1,), (z2,)).item() == pytest.approx(expected, rel=1e-5)


def test_collapsed_projections_have_a_finite_gradient() -> None:
    z = torch.ones(4, 3, requires_grad=True)
    torch.autograd.backward(tiny_vicreg(3).loss((z, z), Encoded((z, z), (z, z))))
    assert z.grad is not None
    assert z.grad.isfinite().all()


@pytest.mark.parametrize("term", [variance, covariance, lambda z: invariance(z, z.flip(0))])
def test_terms_are_float32_under_autocast(term: Term) -> None:
    z = draw(64, 32, 0.7)[0]
    half = z.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        from_half, from_full = term(half), term(z)
    assert from_half.dtype == from_full.dtype == term(half).dtype == torch.float32
    # No arithmetic in bfloat16: only the rounding of what came in may show.
    torch.testing.assert_close(from_half, term(half.float()))
    torch.testing.assert_close(from_full, term(z))
    assert from_half.item() == pytest.approx(from_full.item(), rel=5e-3)


def test_vicreg_trains_its_whole_network() -> None:
    method = tiny_vicreg(6)
    views = tuple(torch.rand(2, 5, 1, 8, 8, generator=torch.Generator().manual_seed(0)))
    encoded = method.encode(views)
    torch.autograd.backward(method.loss(views, encoded))
    assert [z.shape for z in encoded.projections] == [(5, 6), (5, 6)]
    assert method.projection_dim == 6
    for parameter in method.parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()


def test_a_state_holds_what_crosses_a_task_boundary() -> None:
    assert parts_of_state(tiny_method("vicreg")) == {"backbone", "projector"}
