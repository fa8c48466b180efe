"""PNR's losses: by formulas with plain loops in float64, and the signs of their gradients by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.config.registry.strategies import STRATEGIES
from pipeline.methods.barlow_twins import barlow_twins_loss
from pipeline.methods.base import Position
from pipeline.methods.mocov2plus import MoCoV2Plus
from pipeline.methods.pseudo_negatives import (
    DEFINED,
    PseudoNegatives,
    Queued,
    Weights,
    build_pseudo_negatives,
    nt_xent_with_past,
    prediction_among_present,
)
from pipeline.seeding import seeded_initialization
from tests.support.definitions import Vectors, cosine
from tests.support.networks import draw_views, tiny_method

METHODS = STRATEGIES["pnr"].methods
TEMPERATURE = 0.3


def draw(count: int, *shape: int, seed: int = 0) -> list[Tensor]:
    """So many float64 tensors of a shape."""
    generator = torch.Generator().manual_seed(seed)
    return list(torch.randn(count, *shape, generator=generator, dtype=torch.float64))


def build(name: str, positive: float = 1.0, negative: float | None = None) -> PseudoNegatives:
    with seeded_initialization(0, "test"):
        return build_pseudo_negatives(tiny_method(name), Weights(positive, negative))


def power(a: Vectors, b: Vectors, temperature: float = TEMPERATURE) -> float:
    return math.exp(cosine(a, b) / temperature)


def first_sum(z: Vectors, past: Vectors, temperature: float) -> float:
    count, total = len(z) // 2, 0.0
    for i in range(len(z)):
        other = i + count if i < count else i - count
        below = 0.0
        for j in range(len(z)):
            if j != i:
                below += power(z[i], z[j], temperature) + power(z[i], past[j], temperature)
        total -= math.log(power(z[i], z[other], temperature) / below)
    return total / len(z)


def second_sum(p: Vectors, past: Vectors, z: Vectors, temperature: float) -> float:
    total = 0.0
    for i in range(len(z)):
        below = 0.0
        for j in range(len(z)):
            if j != i:
                below += power(p[i], past[j], temperature) + power(p[i], z[j], temperature)
        total -= math.log(power(p[i], past[i], temperature) / below)
    return total / len(z)


def test_it_is_defined_for_the_methods_that_the_registry_lists() -> None:
    assert {type(tiny_method(name)) for name in METHODS} == set(DEFINED)


# SimCLR


@pytest.mark.parametrize("count", [1, 2, 5])
def test_both_sums_of_simclr_are_their_definition(count: int) -> None:
    z, past, p = draw(3, 2 * count, 4)
    arrays = [each.numpy() for each in (z, past, p)]
    assert nt_xent_with_past(z, past, TEMPERATURE).item() == pytest.approx(
        first_sum(arrays[0], arrays[1], TEMPERATURE), rel=1e-12
    )
    assert prediction_among_present(p, past, z, TEMPERATURE).item() == pytest.approx(
        second_sum(arrays[2], arrays[1], arrays[0], TEMPERATURE), rel=1e-12
    )


def test_simclr_uses_the_temperatures_of_its_objective_and_its_distillation() -> None:
    method = tiny_method("simclr", temperature=0.1, distill_temperature=0.7).double()
    losses = build("simclr", positive=3.0)
    views = tuple(view.double() for view in draw_views(4))
    encoded = method.encode(views)
    predicted, past = draw(2, 4, 6), draw(2, 4, 6, seed=1)
    z, p, z_past = (
        torch.cat(list(each)).detach().numpy() for each in (encoded.projections, predicted, past)
    )
    stand_in = losses.contrast(method, views, encoded, tuple(past))
    assert stand_in.item() == pytest.approx(first_sum(z, z_past, 0.1), rel=1e-9)
    added = losses.regularize(method, encoded.projections, tuple(predicted), tuple(past))
    assert added.item() == pytest.approx(3 * second_sum(p, z_past, z, 0.7), rel=1e-9)


def leaf(rows: list[list[float]]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64, requires_grad=True)


def test_a_past_projection_pushes_the_present_one_away() -> None:
    # One image: both z are (1, 0), both z̄ are (0, 1). A row is log(1 + e^{(z·z̄' - z·z')/τ}).
    z, past = leaf([[1, 0], [1, 0]]), leaf([[0, 1], [0, 1]])
    torch.autograd.backward(nt_xent_with_past(z, past.detach(), TEMPERATURE))
    slope = 1 / (1 + math.exp(1 / TEMPERATURE)) / TEMPERATURE / 2
    assert z.grad is not None
    expected = torch.tensor([[0, slope], [0, slope]], dtype=torch.float64)
    # Down the gradient z turns away from z̄, which is a positive number in the second place.
    torch.testing.assert_close(z.grad, expected)


def test_a_present_projection_is_pushed_away_from_the_prediction() -> None:
    # One image: p is (1, 0), z and z̄ are (0, 1), so both negatives have half of the weight.
    p, past, z = leaf([[1, 0], [1, 0]]), leaf([[0, 1], [0, 1]]), leaf([[0, 1], [0, 1]])
    torch.autograd.backward(prediction_among_present(p, past.detach(), z, TEMPERATURE))
    assert z.grad is not None
    half = 0.5 / TEMPERATURE / 2
    torch.testing.assert_close(z.grad, torch.tensor([[half, 0], [half, 0]], dtype=torch.float64))
    assert p.grad is not None
    # Drawn to z̄ as strongly as pushed by the two negatives, which lie in the same direction.
    torch.testing.assert_close(p.grad, torch.zeros(2, 2, dtype=torch.float64))


# MoCo v2+


def queued(positive: float = 1.0) -> tuple[MoCoV2Plus, Queued]:
    method = tiny_method("mocov2plus", temperature=0.4, distill_temperature=0.6).double()
    losses = build("mocov2plus", positive).double()
    assert isinstance(method, MoCoV2Plus)
    assert isinstance(losses, Queued)
    for queue in (method.queue, losses.queue):
        queue.div_(queue.norm(dim=2, keepdim=True))  # of length 1 in float64 too
    return method, losses


def info_nce(query: Vectors, key: Vectors, queue: Vectors, temperature: float) -> float:
    total = 0.0
    for q, k in zip(query, key, strict=True):
        positive = power(q, k, temperature)
        below = positive + sum(power(q, negative, temperature) for negative in queue)
        total -= math.log(positive / below)
    return total / len(query)


def test_both_terms_of_moco_have_both_queues_of_the_other_view_as_negatives() -> None:
    method, losses = queued(positive=3.0)
    assert losses.queue.shape == method.queue.shape == (2, 10, 6)
    assert not torch.equal(losses.queue, method.queue)
    views = tuple(view.double() for view in draw_views(4))
    encoded = method.encode(views)
    keys = [k.numpy() for k in method.momentum_projections(views)]
    q = [each.detach().numpy() for each in encoded.projections]
    queues = torch.cat([method.queue, losses.queue], dim=1).numpy()
    predicted, past = draw(2, 4, 6), draw(2, 4, 6, seed=1)
    past = [z / z.norm(dim=1, keepdim=True) for z in past]
    stand_in = losses.contrast(method, views, encoded, tuple(past))
    expected = [info_nce(q[0], keys[1], queues[1], 0.4), info_nce(q[1], keys[0], queues[0], 0.4)]
    assert stand_in.item() == pytest.approx(float(np.mean(expected)), rel=1e-9)
    added = losses.regularize(method, encoded.projections, tuple(predicted), tuple(past))
    expected = [info_nce(predicted[v].numpy(), past[v].numpy(), queues[1 - v], 0.6) for v in (0, 1)]
    assert added.item() == pytest.approx(3 * float(np.mean(expected)), rel=1e-9)


def test_after_a_step_both_queues_hold_its_keys() -> None:
    method, losses = queued()
    before, own = losses.queue.clone(), method.queue.clone()
    views = tuple(view.double() for view in draw_views(3))
    first, second = draw(2, 2, 3, 6)
    for past in (first, second):  # two parts of a batch
        losses.contrast(method, views, method.encode(views), tuple(past))
    assert torch.equal(losses.queue, before)
    losses.after_step()
    assert torch.equal(losses.queue[:, :3], first)
    assert torch.equal(losses.queue[:, 3:6], second)
    assert torch.equal(losses.queue[:, 6:], before[:, 6:])
    assert int(losses.queue_pointer) == 6
    losses.after_step()
    assert int(losses.queue_pointer) == 6
    # MoCo's own keys wait for its own hook.
    method.after_step(Position(1, 4, 8))
    assert not torch.equal(method.queue[:, :6], own[:, :6])
    assert torch.equal(method.queue[:, 6:], own[:, 6:])


def test_a_key_of_the_past_in_the_queue_pushes_the_query_away() -> None:
    method, losses = queued()
    views = tuple(view.double() for view in draw_views(2))
    encoded = method.encode(views)
    past = tuple(z.detach() for z in encoded.projections)
    # What the queue holds comes nearer to the queries of the first view: the loss rises.
    values = []
    for share in (0.0, 0.5, 1.0):
        near = (1 - share) * losses.queue[1, 0] + share * past[0][0]
        losses.queue[1, 0] = near / near.norm()
        values.append(losses.contrast(method, views, encoded, past).item())
    assert values[0] < values[1] < values[2]


# BYOL, Barlow Twins, VICReg


def distances(name: str, p: Tensor, z: Tensor) -> tuple[float, float, float]:
    """D, D⁻ and the paper's λ⁻."""
    a, b = p.numpy(), z.numpy()
    cosines = float(np.mean([cosine(x, y) for x, y in zip(a, b, strict=True)]))
    square = float(np.mean([(x - y) ** 2 for x, y in zip(a.ravel(), b.ravel(), strict=True)]))
    if name == "byol":
        return 2 - 2 * cosines, 2 - 2 * cosines, 0.5
    if name == "vicreg":
        return 25 * square, square, 23
    return barlow_twins_loss(p, z, 0.005, 0.1).item(), -cosines, 1


@pytest.mark.parametrize("negative", [None, 0.0, 2.0])
@pytest.mark.parametrize("name", ["byol", "barlow_twins", "vicreg"])
def test_predictions_are_drawn_to_their_own_view_and_pushed_from_the_other(
    name: str, negative: float | None
) -> None:
    losses, method = build(name, 3.0, negative), tiny_method(name)
    predicted, past = draw(2, 5, 6), draw(2, 5, 6, seed=1)
    expected = 0.0
    for v in (0, 1):
        drawn, _, weight = distances(name, predicted[v], past[v])
        _, apart, _ = distances(name, predicted[v], past[1 - v])
        expected += (3 * drawn - (weight if negative is None else negative) * apart) / 2
    found = losses.regularize(method, (), tuple(predicted), tuple(past))
    assert found.item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("name", "gradient"),
    # By hand at p = (1, 0), z̄' = (0, 1), N = 1, D = 2; each view has half of the weight λ⁻.
    [
        ("byol", [0, 0.5]),  # ½ λ⁻ · 2 ∂cos, λ⁻ = 0.5
        ("barlow_twins", [0, 0.5]),  # ½ λ⁻ · ∂cos, λ⁻ = 1
        ("vicreg", [-11.5, 11.5]),  # -½ λ⁻ · 2 (p - z̄') / 2, λ⁻ = 23
    ],
)
def test_the_other_view_of_the_past_pushes_the_prediction_away(
    name: str, gradient: list[float]
) -> None:
    predicted = leaf([[1, 0]])
    past = torch.tensor([[0, 1]], dtype=torch.float64)
    losses = build(name, positive=0.0)
    term = losses.regularize(tiny_method(name), (), (predicted, predicted.detach()), (past, past))
    torch.autograd.backward(term)
    expected = torch.tensor([gradient], dtype=torch.float64)
    torch.testing.assert_close(predicted.grad, expected)


@pytest.mark.parametrize("name", ["byol", "barlow_twins", "vicreg"])
def test_the_objective_of_methods_without_negatives_is_their_own(name: str) -> None:
    method, views = tiny_method(name).double().eval(), draw_views(4)
    double = tuple(view.double() for view in views)
    encoded = method.encode(double)
    past = tuple(draw(2, 4, 6))
    stand_in = build(name).contrast(method, double, encoded, past)
    assert torch.equal(stand_in, method.loss(double, encoded))
