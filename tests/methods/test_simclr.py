"""SimCLR: NT-Xent, the distillation loss and the method."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from pipeline.methods.base import Encoded, Method, Views
from pipeline.methods.contrastive import info_nce_distillation, nt_xent
from pipeline.methods.simclr import SimCLR
from pipeline.models.small_resnet import SmallResNet
from pipeline.seeding import seeded_initialization
from tests.support.definitions import SHAPES, cosine, draw, info_nce_by_definition
from tests.support.networks import parts_of_state, tiny_method

Loss = Callable[[Tensor, Tensor, float], Tensor]


def nt_xent_by_definition(z1: Tensor, z2: Tensor, temperature: float) -> float:
    views = [*z1.double().numpy(), *z2.double().numpy()]
    total = 0.0
    for i in range(len(views)):
        partner = i + len(z1) if i < len(z1) else i - len(z1)
        positive = math.exp(cosine(views[i], views[partner]) / temperature)
        others = 0.0
        for k in range(len(views)):
            if k != i:
                others += math.exp(cosine(views[i], views[k]) / temperature)
        total += -math.log(positive / others)
    return total / len(views)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
@pytest.mark.parametrize(("count", "size", "scale"), SHAPES)
def test_nt_xent_is_its_definition(count: int, size: int, scale: float, temperature: float) -> None:
    z1, z2 = draw(count, size, scale)
    expected = nt_xent_by_definition(z1, z2, temperature)
    assert nt_xent(z1, z2, temperature).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
@pytest.mark.parametrize(("count", "size", "scale"), SHAPES)
def test_distillation_is_its_definition(
    count: int, size: int, scale: float, temperature: float
) -> None:
    predicted, past = draw(count, size, scale)
    expected = info_nce_by_definition(predicted, past, temperature)
    assert info_nce_distillation(predicted, past, temperature).item() == pytest.approx(
        expected, rel=1e-5
    )


def test_both_losses_are_their_definitions_on_identical_views() -> None:
    z, _ = draw(6, 5)
    assert nt_xent(z, z, 0.5).item() == pytest.approx(nt_xent_by_definition(z, z, 0.5), rel=1e-5)
    assert info_nce_distillation(z, z, 0.5).item() == pytest.approx(
        info_nce_by_definition(z, z, 0.5), rel=1e-5
    )


def test_nt_xent_of_one_image_is_zero_and_so_is_its_gradient() -> None:
    z1, z2 = (z.requires_grad_() for z in draw(1, 4))
    loss = nt_xent(z1, z2, 0.2)
    torch.autograd.backward(loss)
    assert loss.item() == 0
    assert z1.grad is not None
    assert torch.equal(z1.grad, torch.zeros_like(z1))


def test_collapsed_projections_cost_the_logarithm_of_the_candidates() -> None:
    z = torch.ones(4, 3)
    assert nt_xent(z, z, 0.2).item() == pytest.approx(math.log(7))
    assert info_nce_distillation(z, z, 0.2).item() == pytest.approx(math.log(4))


@pytest.mark.parametrize("loss", [nt_xent, info_nce_distillation])
def test_gradients_agree_with_finite_differences(loss: Loss) -> None:
    first, second = (z.double().requires_grad_() for z in draw(4, 3))
    assert torch.autograd.gradcheck(lambda a, b: loss(a, b, 0.3), (first, second))


def test_nt_xent_does_not_depend_on_the_order_of_the_images() -> None:
    z1, z2 = draw(9, 6)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(nt_xent(z1[order], z2[order], 0.2), nt_xent(z1, z2, 0.2))


def test_nt_xent_does_not_depend_on_which_view_comes_first() -> None:
    z1, z2 = draw(9, 6)
    torch.testing.assert_close(nt_xent(z2, z1, 0.2), nt_xent(z1, z2, 0.2))


def test_nt_xent_does_not_depend_on_the_length_of_the_projections() -> None:
    z1, z2 = draw(9, 6)
    lengths = torch.logspace(-2, 3, 9)[:, None]
    torch.testing.assert_close(nt_xent(z1 * lengths, 7 * z2, 0.2), nt_xent(z1, z2, 0.2))


def test_distillation_has_the_same_value_in_both_directions() -> None:
    predicted, past = draw(7, 5)
    torch.testing.assert_close(
        info_nce_distillation(past, predicted, 0.2), info_nce_distillation(predicted, past, 0.2)
    )


@pytest.mark.parametrize("loss", [nt_xent, info_nce_distillation])
def test_losses_are_float32_under_autocast(loss: Loss) -> None:
    first, second = draw(64, 32)
    half_first, half_second = first.bfloat16(), second.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        from_half = loss(half_first, half_second, 0.2)
        from_full = loss(first, second, 0.2)
    assert from_half.dtype == from_full.dtype == torch.float32
    # No arithmetic in bfloat16: only the rounding of what came in may show.
    torch.testing.assert_close(from_half, loss(half_first.float(), half_second.float(), 0.2))
    torch.testing.assert_close(from_full, loss(first, second, 0.2))
    assert from_half.item() == pytest.approx(from_full.item(), rel=5e-3)


def tiny_simclr() -> SimCLR:
    with seeded_initialization(0, "test"):
        backbone = SmallResNet(1, "conv3_stride2", widths=[4, 8], blocks=1)
        return SimCLR(backbone, temperature=0.5, distill_temperature=0.1, projector=[16, 6])


def test_simclr_encodes_all_views_as_one_batch() -> None:
    method = tiny_simclr()
    apart = copy.deepcopy(method)
    first, second = torch.rand(2, 5, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    encoded = method.encode((first, second))
    assert [h.shape for h in encoded.features] == [(5, 8), (5, 8)]
    assert [z.shape for z in encoded.projections] == [(5, 6), (5, 6)]
    together = apart.backbone(torch.cat([first, second]))
    torch.testing.assert_close(torch.cat(encoded.features), together)
    torch.testing.assert_close(torch.cat(encoded.projections), apart.projector(together))
    assert method.projection_dim == 6


def test_simclr_uses_one_temperature_for_each_of_its_losses() -> None:
    method = tiny_simclr()
    z1, z2 = draw(5, 6)
    past1, past2 = draw(5, 6, seed=1)
    encoded = Encoded((z1, z2), (z1, z2))
    loss = method.loss((z1, z2), encoded)
    distance = method.distill((z1, z2), (past1, past2))
    assert loss.shape == distance.shape == ()
    assert loss.item() == pytest.approx(nt_xent_by_definition(z1, z2, 0.5), rel=1e-5)
    expected = info_nce_by_definition(torch.cat([z1, z2]), torch.cat([past1, past2]), 0.1)
    assert distance.item() == pytest.approx(expected, rel=1e-5)


class Toy(Method):
    def __init__(self) -> None:
        super().__init__()
        self.projector = nn.Identity()
        self.projection_dim = 2

    def loss(self, views: Views, encoded: Encoded) -> Tensor:
        return torch.zeros(())

    def compare(self, predicted: Tensor, past: Tensor) -> Tensor:
        return (predicted - past).abs().max()


def test_distillation_is_by_default_the_mean_of_compare_over_the_views() -> None:
    past = torch.zeros(3, 2)
    predicted = tuple(torch.full((3, 2), value) for value in (1.0, 2.0, 6.0))
    assert Toy().distill(predicted, (past, past, past)).item() == pytest.approx((1 + 2 + 6) / 3)


def test_distillation_refuses_unequal_numbers_of_views() -> None:
    z = torch.zeros(3, 2)
    with pytest.raises(ValueError, match="zip"):
        Toy().distill((z, z), (z,))


def test_a_state_holds_what_crosses_a_task_boundary() -> None:
    assert parts_of_state(tiny_method("simclr")) == {"backbone", "projector"}
