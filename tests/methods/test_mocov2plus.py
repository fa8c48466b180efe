"""MoCo v2+: the loss, the queue and the method."""

from __future__ import annotations

import copy
import math
from collections import deque

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.methods.base import Position
from pipeline.methods.mocov2plus import MoCoV2Plus, info_nce_with_queue, unit_vectors
from pipeline.methods.queue import enqueue
from pipeline.seeding import seeded_initialization
from tests.support.definitions import SHAPES, cosine, draw, info_nce_by_definition
from tests.support.networks import draw_views, parts_of_state, shake, tiny_backbone, tiny_method

TEMPERATURE, DISTILL_TEMPERATURE = 0.2, 0.5


def by_definition(query: Tensor, key: Tensor, queue: Tensor, temperature: float) -> float:
    """Of any vectors, brought to length 1 by the cosine."""
    q, k, negatives = (v.detach().double().numpy() for v in (query, key, queue))
    total = 0.0
    for i in range(len(q)):
        positive = math.exp(cosine(q[i], k[i]) / temperature)
        others = sum(math.exp(cosine(q[i], n) / temperature) for n in negatives)
        total += -math.log(positive / (positive + others))
    return total / len(q)


def tiny_moco(queue: int = 7, size: int = 6) -> MoCoV2Plus:
    with seeded_initialization(0, "test"):
        return MoCoV2Plus(
            tiny_backbone(),
            temperature=TEMPERATURE,
            distill_temperature=DISTILL_TEMPERATURE,
            projector=[16, size],
            queue_size=queue,
            momentum=0.5,
            final_momentum=0.9,
        )


def keys_apart(method: MoCoV2Plus, views: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """The raw keys of both views, made by a copy of the method."""
    apart = copy.deepcopy(method)
    keys = apart.momentum_projector(apart.momentum_backbone(torch.cat(views))).detach()
    return keys[: len(views[0])], keys[len(views[0]) :]


@pytest.mark.parametrize("temperature", [0.1, 0.5])
@pytest.mark.parametrize("queue", [1, 10])
@pytest.mark.parametrize(("count", "size", "scale"), [*SHAPES, (1, 4, 1.0)])
def test_the_loss_is_its_definition(
    count: int, size: int, scale: float, queue: int, temperature: float
) -> None:
    query, key = draw(count, size, scale)
    negatives = draw(queue, size, scale, seed=1)[0]
    units = [unit_vectors(v) for v in (query, key, negatives)]
    expected = by_definition(query, key, negatives, temperature)
    assert info_nce_with_queue(*units, temperature).item() == pytest.approx(
        # Next to 1 / τ, a loss of about 0 is what float32 leaves of 1 - 1.
        expected,
        rel=1e-5,
        abs=1e-6,
    )
    exact = [unit_vectors(v.double()) for v in (query, key, negatives)]
    assert info_nce_with_queue(*exact, temperature).item() == pytest.approx(expected, rel=1e-5)


def test_the_loss_is_its_definition_on_identical_views() -> None:
    z, negatives = draw(6, 5)[0], draw(9, 5, seed=1)[0]
    unit = unit_vectors(z)
    loss = info_nce_with_queue(unit, unit, unit_vectors(negatives), 0.5)
    assert loss.item() == pytest.approx(by_definition(z, z, negatives, 0.5), rel=1e-5)


@pytest.mark.parametrize(("count", "size", "scale"), SHAPES)
def test_unit_vectors_are_their_definition(count: int, size: int, scale: float) -> None:
    z, _ = draw(count, size, scale)
    rows: NDArray[np.float64] = z.double().numpy()
    expected = [row / math.sqrt(sum(x * x for x in row)) for row in rows]
    np.testing.assert_allclose(unit_vectors(z).numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize(("count", "size", "scale"), [*SHAPES, (1, 4, 1.0)])
def test_distillation_is_that_of_all_views_at_once(count: int, size: int, scale: float) -> None:
    method = tiny_moco(size=size)
    z1, z2 = draw(count, size, scale)
    past1, past2 = draw(count, size, scale, seed=1)
    z, past = torch.cat([z1, z2]), torch.cat([past1, past2])
    expected = info_nce_by_definition(z, past, DISTILL_TEMPERATURE)
    distance = method.distill((z1, z2), (past1, past2))
    assert distance.shape == ()
    assert distance.item() == pytest.approx(expected, rel=1e-5)
    single = info_nce_by_definition(z1, past1, DISTILL_TEMPERATURE)
    assert method.compare(z1, past1).item() == pytest.approx(single, rel=1e-5, abs=1e-7)


def test_gradients_agree_with_finite_differences() -> None:
    query, key = (z.double().requires_grad_() for z in draw(4, 3))
    queue = draw(5, 3, seed=1)[0].double().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda q, k, n: info_nce_with_queue(q, k, n, 0.3), (query, key, queue)
    )
    assert torch.autograd.gradcheck(unit_vectors, (query,))


def test_vectors_that_are_all_the_same_cost_the_logarithm_of_the_candidates() -> None:
    unit = unit_vectors(torch.ones(4, 3))
    loss = info_nce_with_queue(unit, unit, unit[:1].expand(10, 3), 0.2)
    assert loss.item() == pytest.approx(math.log(11))


def test_the_loss_depends_on_the_order_of_neither_images_nor_queue() -> None:
    query, key = (unit_vectors(z) for z in draw(9, 6))
    queue = unit_vectors(draw(12, 6, seed=1)[0])
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        info_nce_with_queue(query[order], key[order], queue.flip(0), 0.2),
        info_nce_with_queue(query, key, queue, 0.2),
    )


def test_zero_projections_have_a_finite_loss_and_gradient() -> None:
    z, queue = torch.zeros(3, 4, requires_grad=True), unit_vectors(draw(5, 4)[0])
    loss = info_nce_with_queue(unit_vectors(z), queue[:3], queue, 0.2)
    torch.autograd.backward(loss)
    assert loss.item() == pytest.approx(math.log(6))
    assert z.grad is not None
    assert z.grad.isfinite().all()


def test_the_loss_is_float32_under_autocast() -> None:
    query, key = (unit_vectors(z) for z in draw(64, 32))
    queue = unit_vectors(draw(48, 32, seed=1)[0])
    half = [v.bfloat16() for v in (query, key, queue)]
    with torch.autocast("cpu", torch.bfloat16):
        from_half = info_nce_with_queue(*half, 0.2)
        from_full = info_nce_with_queue(query, key, queue, 0.2)
        assert unit_vectors(half[0]).dtype == torch.float32
        method, views = tiny_moco(), draw_views(4)
        encoded = method.encode(views)
        assert {z.dtype for z in encoded.projections} == {torch.float32}
        assert method.loss(views, encoded).dtype == torch.float32
        method.after_step(Position(1, 5, 10))
    assert from_half.dtype == from_full.dtype == method.queue.dtype == torch.float32
    # No arithmetic in bfloat16: only the rounding of what came in may show.
    torch.testing.assert_close(from_half, info_nce_with_queue(*(v.float() for v in half), 0.2))
    torch.testing.assert_close(from_full, info_nce_with_queue(query, key, queue, 0.2))
    assert from_half.item() == pytest.approx(from_full.item(), rel=5e-3)


def test_projections_are_unit_vectors_also_for_the_distillation() -> None:
    method, views = tiny_moco(), draw_views(5)
    raw = copy.deepcopy(method)
    z = torch.cat(method.encode(views).projections).detach()
    raw_z = raw.projector(raw.backbone(torch.cat(views))).detach()
    torch.testing.assert_close(z.norm(dim=1), torch.ones(10))
    for a, b in zip(z.double().numpy(), raw_z.double().numpy(), strict=True):
        assert cosine(a, b) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_queries_of_a_view_meet_keys_and_queue_of_the_other_view(count: int) -> None:
    method, views = tiny_moco(), draw_views(count)
    shake(method.backbone, 0.3)  # so that the momentum network is another
    q1, q2 = (encoded := method.encode(views)).projections
    k1, k2 = keys_apart(method, views)
    queue1, queue2 = method.queue.clone()
    loss = method.loss(views, encoded)
    first = by_definition(q1, k2, queue2, TEMPERATURE)
    second = by_definition(q2, k1, queue1, TEMPERATURE)
    assert loss.shape == ()
    assert loss.item() == pytest.approx((first + second) / 2, rel=1e-5)


def test_keys_and_momentum_network_have_no_gradient_and_all_else_has() -> None:
    method, views = tiny_moco(), draw_views(4)
    wanting = tuple(view.clone().requires_grad_() for view in views)
    assert not any(key.requires_grad for key in method.momentum_projections(wanting))
    torch.autograd.backward(method.loss(views, method.encode(views)))
    assert not method.queue.requires_grad
    for name, parameter in method.named_parameters():
        if name.startswith("momentum_"):
            assert not parameter.requires_grad
            assert parameter.grad is None
        else:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name


def test_the_queue_holds_unit_vectors_from_the_start_and_differs_between_views() -> None:
    queue = tiny_moco(20).queue
    torch.testing.assert_close(queue.norm(dim=2), torch.ones(2, 20))
    assert not torch.equal(queue[0], queue[1])


def test_queue_and_pointer_cross_task_boundaries() -> None:
    method, views = tiny_moco(), draw_views(4)
    method.loss(views, method.encode(views))
    method.after_step(Position(1, 5, 10))
    state = method.state_dict()
    assert {"queue", "queue_pointer"} <= set(state)
    assert {name.split(".")[0] for name in state if name.startswith("momentum")} == {
        "momentum_backbone",
        "momentum_projector",
    }
    fresh = tiny_moco()
    fresh.load_state_dict(state, strict=True)
    assert int(fresh.queue_pointer) == 4
    assert torch.equal(fresh.queue, method.queue)


def test_queue_and_pointer_move_after_a_step_only_and_a_loss_is_put_in_once() -> None:
    method, views = tiny_moco(), draw_views(3)
    before = method.queue.clone()
    method.loss(views, method.encode(views))
    method.after_backward(Position(0, 5, 10))
    assert torch.equal(method.queue, before)
    assert int(method.queue_pointer) == 0
    method.after_step(Position(1, 5, 10))
    assert not torch.equal(method.queue[:, :3], before[:, :3])
    assert torch.equal(method.queue[:, 3:], before[:, 3:])
    assert int(method.queue_pointer) == 3
    method.after_step(Position(2, 5, 10))
    assert int(method.queue_pointer) == 3


@pytest.mark.parametrize(("count", "queue"), [(3, 7), (2, 6), (5, 4), (7, 3), (1, 2), (4, 4)])
def test_the_queue_of_the_method_is_first_in_first_out(count: int, queue: int) -> None:
    method = tiny_moco(queue)
    entries = [deque(rows, maxlen=queue) for rows in method.queue.clone()]
    for step in range(6):
        views = draw_views(count, seed=step)
        keys = keys_apart(method, views)
        method.loss(views, method.encode(views))
        method.after_step(Position(step + 1, 5, 10))
        shake(method.backbone, 0.3)
        pointer = int(method.queue_pointer)
        assert pointer == (step + 1) * count % queue
        for fifo, raw, rows in zip(entries, keys, method.queue, strict=True):
            fifo.extend(row / row.norm() for row in raw)
            # The oldest entry is where the pointer is.
            in_order = torch.cat([rows[pointer:], rows[:pointer]])
            torch.testing.assert_close(in_order, torch.stack(list(fifo)))


@pytest.mark.parametrize("size", [1, 4, 5])
def test_batches_of_changing_size_leave_the_last_entries_in_order(size: int) -> None:
    queue, pointer = torch.zeros(2, size, 1), 0
    fifo = deque([0.0] * size, maxlen=size)
    number = 0
    for count in (3, 1, 4, 9, 5, 2, 10, 1):
        batch = torch.arange(number, number + count, dtype=torch.float32)
        number += count
        pointer = enqueue(queue, pointer, torch.stack([batch, -batch])[:, :, None])
        fifo.extend(batch.tolist())
        in_order = queue.roll(-pointer, dims=1)[:, :, 0]
        assert in_order[0].tolist() == list(fifo)
        assert in_order[1].tolist() == [-value for value in fifo]


def test_the_momentum_network_follows_after_a_step() -> None:
    method = tiny_moco()
    shake(method.backbone, 0.3)
    before = copy.deepcopy(method)
    method.after_step(Position(5, 5, 10))
    m = 0.9 - 0.4 / 2  # half of the task is done
    past, present, now = (
        module.parameters()
        for module in (before.momentum_backbone, before.backbone, method.momentum_backbone)
    )
    for a, b, c in zip(past, present, now, strict=True):
        torch.testing.assert_close(c, m * a + (1 - m) * b)


def test_a_state_holds_what_crosses_a_task_boundary() -> None:
    assert parts_of_state(tiny_method("mocov2plus")) == {
        "backbone",
        "projector",
        "momentum_backbone",
        "momentum_projector",
        "queue",
        "queue_pointer",
    }
