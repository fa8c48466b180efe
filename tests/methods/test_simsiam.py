"""SimSiam: the loss, its stop-gradient and the method."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from pipeline.methods.base import Encoded
from pipeline.methods.simsiam import SimSiam, negative_cosine
from pipeline.seeding import seeded_initialization
from tests.support.definitions import SHAPES, cosine, draw
from tests.support.networks import parts_of_state, tiny_backbone, tiny_method


def by_definition(predicted: Tensor, target: Tensor) -> float:
    p, z = predicted.double().numpy(), target.double().numpy()
    return -sum(cosine(p[i], z[i]) for i in range(len(p))) / len(p)


def tiny_simsiam() -> SimSiam:
    with seeded_initialization(0, "test"):
        backbone = tiny_backbone()
        return SimSiam(
            backbone, projector=[16, 6], predictor_hidden=3, constant_predictor_rate=True
        )


@pytest.mark.parametrize(("count", "size", "scale"), [*SHAPES, (1, 4, 1.0)])
def test_loss_and_distillation_are_their_definition(count: int, size: int, scale: float) -> None:
    first, second = draw(count, size, scale)
    past1, past2 = draw(count, size, scale, seed=1)
    expected = by_definition(first, past1)
    assert negative_cosine(first, past1).item() == pytest.approx(expected, rel=1e-5, abs=1e-7)
    method = tiny_simsiam()
    assert method.compare(first, past1).item() == pytest.approx(expected, rel=1e-5, abs=1e-7)
    both = (expected + by_definition(second, past2)) / 2
    distance = method.distill((first, second), (past1, past2))
    assert distance.shape == ()
    assert distance.item() == pytest.approx(both, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_equal_directions_give_minus_one_and_opposite_ones_one(scale: float) -> None:
    z, _ = draw(5, 7)
    assert negative_cosine(z, scale * z).item() == pytest.approx(-1, rel=1e-6)
    assert negative_cosine(z, -scale * z).item() == pytest.approx(1, rel=1e-6)


def test_the_loss_does_not_depend_on_the_length_of_the_vectors() -> None:
    p, z = draw(9, 6)
    lengths = torch.logspace(-2, 3, 9)[:, None]
    torch.testing.assert_close(negative_cosine(p * lengths, 7 * z), negative_cosine(p, z))


def test_gradients_of_the_prediction_agree_with_finite_differences() -> None:
    predicted, target = (z.double() for z in draw(4, 3))
    predicted.requires_grad_()
    assert torch.autograd.gradcheck(lambda p: negative_cosine(p, target), (predicted,))


def test_no_gradient_flows_into_the_target() -> None:
    predicted, target = (z.requires_grad_() for z in draw(4, 3))
    torch.autograd.backward(negative_cosine(predicted, target))
    assert predicted.grad is not None
    assert predicted.grad.any()
    assert target.grad is None


def test_zero_vectors_have_a_finite_loss_and_gradient() -> None:
    p, z = torch.zeros(3, 4, requires_grad=True), draw(3, 4)[0]
    loss = negative_cosine(p, z)
    torch.autograd.backward(loss)
    assert loss.item() == 0
    assert p.grad is not None
    assert p.grad.isfinite().all()


def test_the_loss_is_float32_under_autocast() -> None:
    first, second = draw(64, 32)
    first = first + second  # a cosine that is not about 0
    half_first, half_second = first.bfloat16(), second.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        from_half = negative_cosine(half_first, half_second)
        from_full = negative_cosine(first, second)
    assert from_half.dtype == from_full.dtype == torch.float32
    # No arithmetic in bfloat16: only the rounding of what came in may show.
    torch.testing.assert_close(from_half, negative_cosine(half_first.float(), half_second.float()))
    torch.testing.assert_close(from_full, negative_cosine(first, second))
    assert from_half.item() == pytest.approx(from_full.item(), rel=5e-3)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_each_view_predicts_the_projection_of_the_other(count: int) -> None:
    method = tiny_simsiam()
    apart = copy.deepcopy(method)
    z1, z2 = draw(count, 6)
    loss = method.loss((z1, z2), Encoded((z1, z2), (z1, z2)))
    p = apart.predictor(torch.cat([z1, z2])).detach()
    expected = (by_definition(p[:count], z2) + by_definition(p[count:], z1)) / 2
    assert loss.item() == pytest.approx(expected, rel=1e-5, abs=1e-7)


def test_projections_get_their_gradient_through_the_predictor_alone() -> None:
    method = tiny_simsiam().eval()  # BatchNorm would mix the rows
    z1, z2 = (z.requires_grad_() for z in draw(4, 6))
    torch.autograd.backward(method.loss((z1, z2), Encoded((z1, z2), (z1, z2))))
    again = z1.detach().clone().requires_grad_()
    # z1 meets the constant z2 as a prediction, and nothing as a target.
    torch.autograd.backward(negative_cosine(method.predictor(again), z2.detach()) / 2)
    assert z1.grad is not None
    assert again.grad is not None
    torch.testing.assert_close(z1.grad, again.grad)


def test_projections_end_in_batch_norm_without_affine_parameters() -> None:
    method = tiny_simsiam()
    views = tuple(torch.rand(2, 8, 1, 8, 8, generator=torch.Generator().manual_seed(0)))
    encoded = method.encode(views)
    z = torch.cat(encoded.projections)
    assert z.shape == (16, 6)
    assert method.projection_dim == 6
    torch.testing.assert_close(z.mean(dim=0), torch.zeros(6), rtol=0, atol=1e-5)
    # Of the variance 1, BatchNorm's epsilon may take a part where the input varies little.
    assert torch.all((z.var(dim=0, correction=0) - 1).abs() < 0.01)
    torch.autograd.backward(method.loss(views, encoded))
    for name, parameter in method.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_a_state_holds_what_crosses_a_task_boundary() -> None:
    assert parts_of_state(tiny_method("simsiam")) == {"backbone", "projector", "predictor"}
