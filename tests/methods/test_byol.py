"""BYOL: the loss, its momentum network and the method."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from pipeline.methods.base import Position
from pipeline.methods.byol import BYOL, byol_loss
from pipeline.models.momentum import cosine_momentum, momentum_copy, update_momentum
from pipeline.seeding import seeded_initialization
from tests.support.definitions import SHAPES, cosine, draw
from tests.support.networks import draw_views, parts_of_state, shake, tiny_backbone, tiny_method


def by_definition(predicted: Tensor, target: Tensor) -> float:
    p, z = predicted.double().numpy(), target.double().numpy()
    return sum(2 - 2 * cosine(p[i], z[i]) for i in range(len(p))) / len(p)


def tiny_byol(momentum: float = 0.5, final_momentum: float = 1.0) -> BYOL:
    with seeded_initialization(0, "test"):
        return BYOL(
            tiny_backbone(),
            projector=[16, 6],
            predictor_hidden=12,
            momentum=momentum,
            final_momentum=final_momentum,
        )


@pytest.mark.parametrize(("count", "size", "scale"), [*SHAPES, (1, 4, 1.0)])
def test_loss_and_distillation_are_their_definition(count: int, size: int, scale: float) -> None:
    first, second = draw(count, size, scale)
    past1, past2 = draw(count, size, scale, seed=1)
    expected = by_definition(first, past1)
    assert byol_loss(first, past1).item() == pytest.approx(expected, rel=1e-5, abs=1e-6)
    method = tiny_byol()
    assert method.compare(first, past1).item() == pytest.approx(expected, rel=1e-5, abs=1e-6)
    both = (expected + by_definition(second, past2)) / 2
    distance = method.distill((first, second), (past1, past2))
    assert distance.shape == ()
    assert distance.item() == pytest.approx(both, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_equal_directions_cost_nothing_and_opposite_ones_four(scale: float) -> None:
    z, _ = draw(5, 7)
    assert byol_loss(z, scale * z).item() == pytest.approx(0, abs=1e-6)
    assert byol_loss(z, -scale * z).item() == pytest.approx(4, rel=1e-6)
    assert byol_loss(torch.tensor([[1.0, 0]]), torch.tensor([[0.0, scale]])).item() == 2


def test_the_loss_does_not_depend_on_the_length_of_the_vectors() -> None:
    p, z = draw(9, 6)
    lengths = torch.logspace(-2, 3, 9)[:, None]
    torch.testing.assert_close(byol_loss(p * lengths, 7 * z), byol_loss(p, z))


def test_gradients_agree_with_finite_differences() -> None:
    first, second = (z.double().requires_grad_() for z in draw(4, 3))
    assert torch.autograd.gradcheck(byol_loss, (first, second))


def test_zero_vectors_have_a_finite_loss_and_gradient() -> None:
    p, z = torch.zeros(3, 4, requires_grad=True), draw(3, 4)[0]
    loss = byol_loss(p, z)
    torch.autograd.backward(loss)
    assert loss.item() == 2
    assert p.grad is not None
    assert p.grad.isfinite().all()


def test_the_loss_is_float32_under_autocast() -> None:
    first, second = draw(64, 32)
    half_first, half_second = first.bfloat16(), second.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        from_half = byol_loss(half_first, half_second)
        from_full = byol_loss(first, second)
        whole = tiny_byol()
        views = draw_views(4)
        assert whole.loss(views, whole.encode(views)).dtype == torch.float32
    assert from_half.dtype == from_full.dtype == torch.float32
    # No arithmetic in bfloat16: only the rounding of what came in may show.
    torch.testing.assert_close(from_half, byol_loss(half_first.float(), half_second.float()))
    torch.testing.assert_close(from_full, byol_loss(first, second))
    assert from_half.item() == pytest.approx(from_full.item(), rel=5e-3)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_each_view_predicts_the_momentum_networks_projection_of_the_other(count: int) -> None:
    method, views = tiny_byol(), draw_views(count)
    shake(method.backbone, 1.0)  # so that the momentum network is another
    apart = copy.deepcopy(method)
    loss = method.loss(views, method.encode(views))
    images = torch.cat(views)
    p = apart.predictor(apart.projector(apart.backbone(images))).detach()
    target = apart.momentum_projector(apart.momentum_backbone(images)).detach()
    p1, p2, target1, target2 = p[:count], p[count:], target[:count], target[count:]
    expected = by_definition(p1, target2) + by_definition(p2, target1)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_the_momentum_network_is_an_exact_copy_at_first() -> None:
    method = tiny_byol()
    for slow, fast in [
        (method.momentum_backbone, method.backbone),
        (method.momentum_projector, method.projector),
    ]:
        copied, original = slow.state_dict(), fast.state_dict()
        assert list(copied) == list(original)
        assert all(torch.equal(copied[name], original[name]) for name in original)
        own = {p.data_ptr() for p in fast.parameters()}
        assert not own & {p.data_ptr() for p in slow.parameters()}


def test_the_momentum_network_has_no_gradient_and_all_else_has() -> None:
    method, views = tiny_byol(), draw_views(4)
    torch.autograd.backward(method.loss(views, method.encode(views)))
    for name, parameter in method.named_parameters():
        if name.startswith("momentum_"):
            assert not parameter.requires_grad
            assert parameter.grad is None
        else:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name


def test_predictor_and_momentum_network_cross_task_boundaries() -> None:
    names = {name.split(".")[0] for name in tiny_byol().state_dict()}
    assert names == {
        "backbone",
        "projector",
        "predictor",
        "momentum_backbone",
        "momentum_projector",
    }


@pytest.mark.parametrize(
    ("progress", "coefficient"),
    [
        (0.0, 0.99),
        (1 / 3, 0.9925),  # 1 - 0.01 · (½ + 1) / 2
        (0.5, 0.995),
        (2 / 3, 0.9975),
        (1.0, 1.0),
    ],
)
def test_the_momentum_rises_along_a_cosine(progress: float, coefficient: float) -> None:
    assert cosine_momentum(0.99, 1.0, progress) == pytest.approx(coefficient, abs=1e-12)


def test_a_constant_momentum_stays() -> None:
    assert [cosine_momentum(0.9, 0.9, progress / 7) for progress in range(8)] == [0.9] * 8


def test_following_is_that_computed_by_hand() -> None:
    slow, fast = nn.Linear(1, 2), nn.Linear(1, 2)
    with torch.no_grad():
        slow.weight.copy_(torch.tensor([[1.0], [2.0]]))
        slow.bias.copy_(torch.tensor([0.0, -4.0]))
        fast.weight.copy_(torch.tensor([[5.0], [2.0]]))
        fast.bias.copy_(torch.tensor([8.0, 4.0]))
    update_momentum(slow, fast, 0.75)
    assert slow.weight.flatten().tolist() == [2, 2]
    assert slow.bias.tolist() == [2, -2]
    assert fast.weight.flatten().tolist() == [5, 2]


@pytest.mark.parametrize(("momentum", "value"), [(1.0, 1.0), (0.0, 5.0)])
def test_momentum_one_stands_still_and_momentum_zero_copies(momentum: float, value: float) -> None:
    slow, fast = nn.Linear(1, 1), nn.Linear(1, 1)
    nn.init.constant_(slow.weight, 1.0)
    nn.init.constant_(fast.weight, 5.0)
    update_momentum(slow, fast, momentum)
    assert slow.weight.item() == value


def test_following_leaves_the_statistics_of_batch_norm_alone() -> None:
    fast = nn.BatchNorm1d(3)
    slow = momentum_copy(fast)
    fast(draw(4, 3)[0])
    assert fast.running_mean is not None
    assert slow.running_mean is not None
    assert fast.running_mean.any()
    update_momentum(slow, fast, 0.0)
    assert not slow.running_mean.any()


@pytest.mark.parametrize(("step", "progress"), [(1, 0.1), (5, 0.5), (10, 1.0)])
def test_after_a_step_backbone_and_projector_are_followed_with_the_momentum_of_the_moment(
    step: int, progress: float
) -> None:
    method = tiny_byol(0.5, 0.9)
    shake(method.backbone, 1.0)
    shake(method.projector, 1.0)
    before = copy.deepcopy(method)
    method.after_step(Position(step, 5, 10))
    m = 0.9 - 0.4 * (math.cos(math.pi * progress) + 1) / 2
    for part in ("backbone", "projector"):
        old = before.get_submodule(f"momentum_{part}").parameters()
        fast = before.get_submodule(part).parameters()
        new = method.get_submodule(f"momentum_{part}").parameters()
        for past, present, now in zip(old, fast, new, strict=True):
            torch.testing.assert_close(now, m * past + (1 - m) * present)
        for a, b in zip(
            method.get_submodule(part).parameters(),
            before.get_submodule(part).parameters(),
            strict=True,
        ):
            assert torch.equal(a, b)


def test_the_loss_alone_moves_no_parameter_of_the_momentum_network() -> None:
    method, views = tiny_byol(), draw_views(4)
    shake(method.backbone, 1.0)
    before = copy.deepcopy(method)
    method.loss(views, method.encode(views))
    method.after_backward(Position(0, 5, 10))
    for a, b in zip(method.parameters(), before.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_state_holds_what_crosses_a_task_boundary() -> None:
    assert parts_of_state(tiny_method("byol")) == {
        "backbone",
        "projector",
        "predictor",
        "momentum_backbone",
        "momentum_projector",
    }
