"""SwAV: codes, prototypes, the queue and the method."""

from __future__ import annotations

import copy
from collections import deque

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pipeline.methods.base import Encoded, Position
from pipeline.methods.prototypes import Prototypes, prototype_scores, soft_cross_entropy
from pipeline.methods.swav import SwAV, sinkhorn_knopp
from pipeline.models.frozen import frozen_copy
from pipeline.seeding import seeded_initialization
from tests.support.definitions import SHAPES, cosine, draw
from tests.support.networks import parts_of_state, tiny_backbone, tiny_method

Table = NDArray[np.float64]
EPSILON, TEMPERATURE, DISTILL_TEMPERATURE = 0.05, 0.1, 0.2


def scores_by_definition(z: Tensor, prototypes: Tensor) -> Table:
    vectors, directions = z.double().numpy(), prototypes.detach().double().numpy()
    return np.array([[cosine(v, c) for c in directions] for v in vectors])


def codes_by_definition(scores: Table, epsilon: float, iterations: int) -> Table:
    """Algorithm 1 of the paper: exponentials, and sums that are divided away."""
    assignment = np.exp(scores / epsilon).T
    assignment /= assignment.sum()
    prototypes, count = assignment.shape
    for _ in range(iterations):
        assignment = assignment / assignment.sum(axis=1, keepdims=True) / prototypes
        assignment = assignment / assignment.sum(axis=0, keepdims=True) / count
    return np.asarray((assignment * count).T)


def softmax_by_definition(scores: Table, temperature: float) -> Table:
    weights = np.exp(scores / temperature)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def cross_entropy_by_definition(scores: Table, target: Table, temperature: float) -> float:
    logarithm = np.log(softmax_by_definition(scores, temperature))
    return float(-(target * logarithm).sum() / len(scores))


def swapped_by_definition(z: list[Tensor], queues: list[Tensor], prototypes: Tensor) -> float:
    scores, codes = [], []
    for vectors, past in zip(z, queues, strict=True):
        scores.append(scores_by_definition(vectors, prototypes))
        together = scores_by_definition(torch.cat([vectors, past]), prototypes)
        codes.append(codes_by_definition(together, EPSILON, 3)[: len(vectors)])
    first = cross_entropy_by_definition(scores[0], codes[1], TEMPERATURE)
    second = cross_entropy_by_definition(scores[1], codes[0], TEMPERATURE)
    return (first + second) / 2


def tiny_swav(
    size: int = 6,
    queue: int = 0,
    start: int = 0,
    freeze: int = 0,
    prototypes: int = 5,
    lengths: bool = False,
) -> SwAV:
    with seeded_initialization(0, "test"):
        return SwAV(
            tiny_backbone(),
            temperature=TEMPERATURE,
            distill_temperature=DISTILL_TEMPERATURE,
            projector=[16, size],
            num_prototypes=prototypes,
            train_prototype_lengths=lengths,
            epsilon=EPSILON,
            sinkhorn_iterations=3,
            queue_size=queue,
            queue_start_epoch=start,
            freeze_prototypes_epochs=freeze,
        )


def loss_of(method: SwAV, z1: Tensor, z2: Tensor) -> Tensor:
    return method.loss((z1, z2), Encoded((z1, z2), (z1, z2)))


def unit_scores(count: int, prototypes: int, size: int = 4) -> Tensor:
    return prototype_scores(draw(count, size)[0], draw(prototypes, size, seed=1)[0])


@pytest.mark.parametrize(("count", "size", "scale"), SHAPES)
def test_scores_are_their_definition(count: int, size: int, scale: float) -> None:
    z, prototypes = draw(count, size, scale)[0], draw(11, size, seed=1)[0]
    expected = scores_by_definition(z, prototypes)
    scores = prototype_scores(z, prototypes)
    np.testing.assert_allclose(scores.numpy(), expected, rtol=1e-5, atol=1e-6)
    lengths = torch.logspace(-2, 3, 11)[:, None]
    torch.testing.assert_close(prototype_scores(z, prototypes * lengths), scores)


@pytest.mark.parametrize("iterations", [1, 3])
@pytest.mark.parametrize(("count", "prototypes"), [(2, 8), (7, 7), (16, 5), (1, 4), (3, 100)])
def test_codes_are_those_of_the_papers_algorithm(
    count: int, prototypes: int, iterations: int
) -> None:
    scores = unit_scores(count, prototypes)
    expected = codes_by_definition(scores.double().numpy(), EPSILON, iterations)
    codes = sinkhorn_knopp(scores, EPSILON, iterations)
    assert codes.dtype == torch.float32
    # Logarithms reach 1 / ε = 20, so float32 has small codes to 1e-5 of the largest only.
    np.testing.assert_allclose(codes.numpy(), expected, rtol=0, atol=1e-5)
    exact = sinkhorn_knopp(scores.double(), EPSILON, iterations)
    np.testing.assert_allclose(exact.numpy(), expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize(("count", "prototypes"), [(12, 5), (5, 12), (8, 8)])
def test_after_many_iterations_all_prototypes_are_used_equally(count: int, prototypes: int) -> None:
    codes = sinkhorn_knopp(unit_scores(count, prototypes), 0.2, 500)
    torch.testing.assert_close(codes.sum(dim=1), torch.ones(count))
    share = torch.full((prototypes,), count / prototypes)
    torch.testing.assert_close(codes.sum(dim=0), share, rtol=1e-3, atol=0)


@pytest.mark.parametrize("scale", [0.0, 1e2, 1e5])
@pytest.mark.parametrize("epsilon", [0.001, 0.05])
def test_scores_of_any_range_have_finite_codes(scale: float, epsilon: float) -> None:
    codes = sinkhorn_knopp(scale * draw(6, 9)[0], epsilon, 3)
    assert codes.isfinite().all()
    torch.testing.assert_close(codes.sum(dim=1), torch.ones(6))


def test_equal_scores_have_equal_codes() -> None:
    torch.testing.assert_close(sinkhorn_knopp(torch.ones(4, 5), 0.05, 3), torch.full((4, 5), 0.2))


@pytest.mark.parametrize("temperature", [0.1, 1.0])
@pytest.mark.parametrize(("count", "size", "scale"), SHAPES)
def test_cross_entropy_is_its_definition(
    count: int, size: int, scale: float, temperature: float
) -> None:
    scores, other = draw(count, size, scale)
    target = torch.softmax(other, dim=1)
    # The definition's exponentials overflow at 1e3 / τ; log-softmax in float64 does not.
    shifted = scores.double().numpy() / temperature
    shifted -= shifted.max(axis=1, keepdims=True)
    logarithm = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    expected = -(target.double().numpy() * logarithm).sum() / count
    assert soft_cross_entropy(scores, target, temperature).item() == pytest.approx(
        expected, rel=1e-5
    )


def test_cross_entropy_of_equal_scores_is_the_logarithm_of_their_number() -> None:
    target = torch.softmax(draw(4, 7)[0], dim=1)
    loss = soft_cross_entropy(torch.ones(4, 7), target, 0.1)
    assert loss.item() == pytest.approx(np.log(7))


@pytest.mark.parametrize(("count", "size", "scale"), [*SHAPES, (1, 4, 1.0)])
def test_swapped_prediction_is_its_definition(count: int, size: int, scale: float) -> None:
    method = tiny_swav(size)
    z1, z2 = draw(count, size, scale)
    none = torch.empty(0, size)
    for pair in ([z1, z2], [z1, z1]):
        loss = loss_of(method, *pair)
        expected = swapped_by_definition(pair, [none, none], method.prototypes.weight)
        assert loss.shape == ()
        assert loss.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("count", "queue"), [(4, 8), (4, 6), (3, 7), (5, 3), (1, 2)])
def test_the_queue_joins_the_assignment_once_it_is_full(count: int, queue: int) -> None:
    method = tiny_swav(queue=queue)
    past: list[deque[Tensor]] = [deque(maxlen=queue), deque(maxlen=queue)]
    none = torch.empty(0, 6)
    for step in range(6):
        z = list(draw(count, 6, seed=step))
        full = len(past[0]) == queue
        assert full == (step * count >= queue)
        queues = [torch.stack(list(entries)) for entries in past] if full else [none, none]
        loss = loss_of(method, *z)
        expected = swapped_by_definition(z, queues, method.prototypes.weight)
        assert loss.item() == pytest.approx(expected, rel=1e-5)
        if full:  # or else the queue could be left out unseen
            alone = swapped_by_definition(z, [none, none], method.prototypes.weight)
            assert loss.item() != pytest.approx(alone, rel=1e-4)
        method.after_step(Position(step + 1, 10, 10))
        for entries, vectors in zip(past, z, strict=True):
            entries.extend(vectors)


@pytest.mark.parametrize("start", [0, 1, 2])
def test_the_queue_begins_to_fill_in_its_epoch_and_not_before(start: int) -> None:
    method = tiny_swav(queue=100, start=start)
    steps_per_epoch, count = 3, 2
    for step in range(9):
        loss_of(method, *draw(count, 6))
        method.after_backward(Position(step, steps_per_epoch, 9))
        method.after_step(Position(step + 1, steps_per_epoch, 9))
        done = max(0, step + 1 - start * steps_per_epoch)
        assert int(method.queued) == done * count, f"after step {step} of epochs of 3"


def test_the_queue_changes_after_a_step_only_and_a_loss_is_put_in_once() -> None:
    method = tiny_swav(queue=8)
    method.after_step(Position(1, 10, 10))
    loss_of(method, *draw(3, 6))
    assert int(method.queued) == 0
    assert not method.queue.any()
    method.after_step(Position(1, 10, 10))
    method.after_step(Position(2, 10, 10))
    assert int(method.queued) == 3
    assert torch.equal(method.queue[:, :3], torch.stack(draw(3, 6)))


def test_prototypes_cross_task_boundaries_and_the_queue_does_not() -> None:
    names = set(tiny_swav(queue=8).state_dict())
    assert "prototypes.weight" in names
    assert not {"queue", "queued"} & names
    assert {name.split(".")[0] for name in names} == {"backbone", "projector", "prototypes"}


def test_codes_carry_no_gradient() -> None:
    assert not sinkhorn_knopp(unit_scores(4, 5).requires_grad_(), EPSILON, 3).requires_grad
    method = tiny_swav(queue=4)
    z1, z2 = (z.requires_grad_() for z in draw(4, 6))
    for step in range(2):  # without the queue, then with it
        z1.grad = None
        torch.autograd.backward(loss_of(method, z1, z2))
        again = z1.detach().clone().requires_grad_()
        queue = method.queue[1] if step else torch.empty(0, 6)
        together = scores_by_definition(torch.cat([z2.detach(), queue]), method.prototypes.weight)
        code2 = torch.tensor(codes_by_definition(together, EPSILON, 3)[:4]).float()
        # z1 is in the loss as a prediction, whose target is constant, and nowhere else.
        scores = prototype_scores(again, method.prototypes.weight.detach())
        torch.autograd.backward(soft_cross_entropy(scores, code2, TEMPERATURE) / 2)
        assert z1.grad is not None
        torch.testing.assert_close(z1.grad, again.grad, rtol=1e-4, atol=1e-6)
        method.after_step(Position(step + 1, 10, 10))


@pytest.mark.parametrize(("freeze", "frozen_steps"), [(0, 0), (1, 3), (2, 6)])
def test_the_gradient_of_the_prototypes_is_dropped_while_they_are_frozen(
    freeze: int, frozen_steps: int
) -> None:
    method = tiny_swav(freeze=freeze)
    views = tuple(torch.rand(2, 4, 1, 8, 8, generator=torch.Generator().manual_seed(0)))
    for step in range(8):
        method.zero_grad()
        torch.autograd.backward(method.loss(views, method.encode(views)))
        method.after_backward(Position(step, 3, 9))
        assert (method.prototypes.weight.grad is None) == (step < frozen_steps), step
        for name, parameter in method.named_parameters():
            if not name.startswith("prototypes"):
                assert parameter.grad is not None, name
                assert parameter.grad.isfinite().all(), name


def test_trained_lengths_are_those_of_a_layer_under_weight_normalization() -> None:
    method = tiny_swav(lengths=True)
    twin = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(6, 5, bias=False))
    scale, direction = twin.parametrizations.weight.parameters()  # type: ignore[operator,union-attr]
    lengths = method.prototypes.lengths
    assert lengths is not None
    assert lengths.shape == scale.shape == (5, 1)
    with torch.no_grad():
        direction.copy_(method.prototypes.weight)
        scale.copy_(direction.norm(dim=1, keepdim=True))
    torch.testing.assert_close(lengths, scale)
    z = functional.normalize(draw(4, 6)[0], dim=1)
    for _ in range(3):  # the same function, and the same steps
        torch.testing.assert_close(method.prototypes(z), twin(z))
        for layer in (method.prototypes, twin):
            layer.zero_grad()
            torch.autograd.backward(layer(z).square().sum())
        for mine, theirs in ((method.prototypes.weight, direction), (lengths, scale)):
            assert mine.grad is not None
            assert theirs.grad is not None
            torch.testing.assert_close(mine.grad, theirs.grad)
            with torch.no_grad():
                mine.sub_(0.1 * mine.grad)
                theirs.sub_(0.1 * theirs.grad)


def test_lengths_begin_at_those_of_the_initial_weights() -> None:
    lengths = Prototypes(128, 3000, train_lengths=True).lengths
    assert lengths is not None
    # Uniform in ±1/√D: a mean square of 1 / 3D each, of D of them.
    torch.testing.assert_close(lengths.mean(), torch.tensor(3**-0.5), rtol=0.005, atol=0)


def test_lengths_cross_task_boundaries_are_frozen_with_the_prototypes_and_distilled() -> None:
    method = tiny_swav(lengths=True, freeze=1)
    assert "prototypes.lengths" in method.state_dict()
    lengths = method.prototypes.lengths
    assert lengths is not None
    for step, frozen in ((2, True), (3, False)):
        method.zero_grad()
        torch.autograd.backward(loss_of(method, *draw(4, 6)))
        method.after_backward(Position(step, 3, 9))
        assert (lengths.grad is None) == frozen
    head = method.distill_head()
    assert isinstance(head, Prototypes)
    assert head.lengths is not None
    teacher = frozen_copy(method, "batch")
    with torch.no_grad():
        lengths.fill_(2)
    z = draw(4, 6)[0]
    unit = prototype_scores(z, method.prototypes.weight)
    torch.testing.assert_close(method.prototypes(z), 2 * unit)
    before = teacher.distill_target(z)
    torch.testing.assert_close(before, unit * teacher.prototypes.lengths.T)
    assert not torch.allclose(before, 2 * unit)


def test_without_trained_lengths_nothing_holds_any() -> None:
    method = tiny_swav()
    assert method.prototypes.lengths is None
    assert "prototypes.lengths" not in method.state_dict()
    head = method.distill_head()
    assert isinstance(head, Prototypes)
    assert head.lengths is None


def test_gradients_agree_with_finite_differences() -> None:
    z, scores = (v.double().requires_grad_() for v in draw(4, 3))
    prototypes = draw(5, 3, seed=1)[0].double().requires_grad_()
    target = torch.softmax(draw(4, 3, seed=2)[0].double(), dim=1).requires_grad_()
    assert torch.autograd.gradcheck(prototype_scores, (z, prototypes))
    assert torch.autograd.gradcheck(lambda s, t: soft_cross_entropy(s, t, 0.3), (scores, target))


@pytest.mark.parametrize(("count", "size", "scale"), [*SHAPES, (1, 4, 1.0)])
def test_distillation_is_its_definition(count: int, size: int, scale: float) -> None:
    method = tiny_swav(size)
    teacher = frozen_copy(method, "batch")
    with seeded_initialization(1, "test"):
        head = method.distill_head()
    predicted, past = draw(count, size, scale), draw(count, size, scale, seed=1)
    terms = []
    for g, z in zip(predicted, past, strict=True):
        target = scores_by_definition(z, teacher.prototypes.weight)
        target = softmax_by_definition(target, DISTILL_TEMPERATURE)
        scores = scores_by_definition(g, head.get_parameter("weight"))
        terms.append(cross_entropy_by_definition(scores, target, DISTILL_TEMPERATURE))
        term = method.compare(head(g), teacher.distill_target(z))
        assert term.item() == pytest.approx(terms[-1], rel=1e-5)
    distance = method.distill(
        tuple(head(g) for g in predicted), tuple(teacher.distill_target(z) for z in past)
    )
    assert distance.shape == ()
    assert distance.item() == pytest.approx(sum(terms) / 2, rel=1e-5)


def test_distillation_has_prototypes_of_its_own_of_the_same_shape() -> None:
    method = tiny_swav(6, prototypes=9)
    head = method.distill_head()
    assert isinstance(head, Prototypes)
    assert head.weight.shape == method.prototypes.weight.shape == (9, 6)
    assert not torch.equal(head.weight, method.prototypes.weight)
    assert head(draw(4, 6)[0]).shape == (4, 9)


def test_distillation_trains_its_own_prototypes_alone() -> None:
    method = tiny_swav()
    teacher = frozen_copy(method, "batch")
    head = method.distill_head()
    g, z = (v.requires_grad_() for v in draw(4, 6))
    with torch.no_grad():
        target = teacher.distill_target(z)
    torch.autograd.backward(method.compare(head(g), target))
    assert head.get_parameter("weight").grad is not None
    assert g.grad is not None
    assert z.grad is None
    assert all(p.grad is None for p in [*method.parameters(), *teacher.parameters()])
    # Nor where a caller forgets that there is no gradient into the past.
    torch.autograd.backward(method.compare(head(g), teacher.distill_target(z)))
    assert all(p.grad is None for p in teacher.parameters())


def test_distillation_towards_the_same_scores_has_no_gradient() -> None:
    method = tiny_swav()
    z = draw(4, 6)[0].requires_grad_()
    torch.autograd.backward(method.compare(method.prototypes(z), method.prototypes(z.detach())))
    assert z.grad is not None
    torch.testing.assert_close(z.grad, torch.zeros(4, 6), rtol=0, atol=1e-6)


def test_zero_projections_have_a_finite_loss_and_gradient() -> None:
    method = tiny_swav()
    z = torch.zeros(3, 6, requires_grad=True)
    loss = loss_of(method, z, z)
    torch.autograd.backward(loss)
    assert loss.item() == pytest.approx(np.log(5))
    assert z.grad is not None
    assert z.grad.isfinite().all()


def test_losses_are_float32_under_autocast() -> None:
    method, z = tiny_swav(32), draw(64, 32)
    half = tuple(v.bfloat16() for v in z)
    wide = tuple(v.float() for v in half)
    with torch.autocast("cpu", torch.bfloat16):
        losses = [loss_of(method, *z), loss_of(method, *half)]
        distances = [
            method.compare(method.prototypes(a), method.prototypes(b)) for a, b in (z, half)
        ]
        codes = sinkhorn_knopp(method.prototypes(half[0]), EPSILON, 3)
    assert {t.dtype for t in [*losses, *distances, codes]} == {torch.float32}
    scores, target = half[0], torch.softmax(z[1], dim=1).bfloat16()
    assert soft_cross_entropy(scores, target, TEMPERATURE).dtype == torch.float32
    # No arithmetic in bfloat16: only the rounding of what came in may show.
    torch.testing.assert_close(losses[0], loss_of(method, *z))
    torch.testing.assert_close(losses[1], loss_of(method, *wide))
    for distance, (a, b) in zip(distances, (z, wide), strict=True):
        expected = method.compare(method.prototypes(a), method.prototypes(b))
        torch.testing.assert_close(distance, expected)
    assert losses[1].item() == pytest.approx(losses[0].item(), rel=5e-3)


def test_a_copy_of_the_method_keeps_its_queue() -> None:
    method = tiny_swav(queue=4)
    loss_of(method, *draw(4, 6))
    method.after_step(Position(1, 10, 10))
    twin, z = copy.deepcopy(method), draw(4, 6, seed=1)
    assert loss_of(twin, *z).item() == loss_of(method, *z).item()
    assert int(twin.queued) == 4


def test_a_state_holds_what_crosses_a_task_boundary() -> None:
    assert parts_of_state(tiny_method("swav")) == {"backbone", "projector", "prototypes"}
