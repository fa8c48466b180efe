"""Osiris: its losses by plain loops in float64, its memory and its second head."""

from __future__ import annotations

import copy
import math
from typing import Literal, cast

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from pipeline.methods.base import Method, Position
from pipeline.methods.contrastive import nt_xent
from pipeline.seeding import seeded_initialization
from pipeline.strategies.base import Step
from pipeline.strategies.memories.choice import MemoryKind
from pipeline.strategies.memories.minred import MinRed
from pipeline.strategies.osiris import Osiris, cross_nt_xent, distill_nt_xent
from tests.support.definitions import Vectors, cosine
from tests.support.networks import draw_views, shake, task_start, tiny_images, tiny_method

AT = Position(0, 4, 8)
TEMPERATURE = 0.3
Variant = Literal["r", "d"]
BOTH: tuple[Variant, Variant] = ("r", "d")


def osiris(
    method: Method,
    variant: Variant = "r",
    memory_size: int = 20,
    memory: MemoryKind = "reservoir",
    **changes: object,
) -> Osiris:
    strategy = Osiris(
        variant=variant,
        memory=memory,
        memory_size=memory_size,
        batch_share=0.75,
        weight=0.5,
        temperature=TEMPERATURE,
        teacher_batchnorm="batch",
    )
    with seeded_initialization(0, "test strategy"):
        strategy.begin_task(task_start(method, **{"batch_size": 8} | changes))  # type: ignore[arg-type]
    return strategy


def step(method: Method, strategy: Osiris, count: int = 8) -> Step:
    views = strategy.mix(draw_views(count), AT)
    return Step(method, views, method.encode(views), AT)


def draw(count: int, size: int = 4, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, size, generator=generator, dtype=torch.float64)


def power(a: Vectors, b: Vectors) -> float:
    return math.exp(cosine(a, b) / TEMPERATURE)


def other_view(i: int, rows: int) -> int:
    return (i + rows // 2) % rows


def one_side(z: Vectors, u: Vectors) -> float:
    total = 0.0
    for i in range(len(z)):
        positive = power(z[i], z[other_view(i, len(z))])
        total -= math.log(positive / (positive + sum(power(z[i], each) for each in u)))
    return total / len(z)


# The losses


@pytest.mark.parametrize(("count", "memory"), [(1, 1), (3, 2), (4, 6)])
def test_the_cross_term_is_its_definition(count: int, memory: int) -> None:
    z, u = draw(2 * count), draw(2 * memory, seed=1)
    expected = (one_side(z.numpy(), u.numpy()) + one_side(u.numpy(), z.numpy())) / 2
    assert cross_nt_xent(z, u, TEMPERATURE).item() == pytest.approx(expected, rel=1e-12)
    assert cross_nt_xent(u, z, TEMPERATURE).item() == pytest.approx(expected, rel=1e-12)


def test_the_cross_term_has_no_negatives_within_a_set() -> None:
    # Images a and b of one set are orthogonal, then the same. The other set is orthogonal to both.
    axes = torch.eye(4, dtype=torch.float64)
    apart, together = axes[[0, 1, 0, 1]], axes[[0, 0, 0, 0]]
    u = axes[[2, 3, 2, 3]]
    before, after = (cross_nt_xent(z, u, TEMPERATURE) for z in (apart, together))
    assert before.item() == after.item()
    # NT-Xent does push them apart.
    before, after = (nt_xent(z[:2], z[2:], TEMPERATURE) for z in (apart, together))
    assert after.item() > before.item() + 1


def test_the_cross_term_pushes_the_sets_apart() -> None:
    # One image each: z is (1, 0), u is (0, 1). By hand: each ℓ has two negatives of e^0, and
    # moves of z turn it away from u in both. Of ℓ(z; u) a row is log(1 + 2 e^{-1/τ}).
    z = torch.tensor([[1.0, 0.0], [1.0, 0.0]], dtype=torch.float64, requires_grad=True)
    u = torch.tensor([[0.0, 1.0], [0.0, 1.0]], dtype=torch.float64)
    loss = cross_nt_xent(z, u, TEMPERATURE)
    ratio = math.exp(-1 / TEMPERATURE)
    assert loss.item() == pytest.approx(math.log(1 + 2 * ratio))
    torch.autograd.backward(loss)
    # Of a row of ℓ(z; u): 2 r / (1 + 2 r) / τ, of two rows; each row of ℓ(u; z) has z once.
    slope = 2 * ratio / (1 + 2 * ratio) / TEMPERATURE / 2
    assert z.grad is not None
    expected = torch.tensor([[0, slope], [0, slope]], dtype=torch.float64)
    torch.testing.assert_close(z.grad, expected)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_distillation_is_its_definition(count: int) -> None:
    z, past = draw(2 * count), draw(2 * count, seed=1)
    a, b = z.numpy(), past.numpy()
    expected = 0.0
    for present, before in ((a, b), (b, a)):
        for i in range(len(a)):
            below = sum(
                power(present[i], before[j]) for j in range(len(a)) if j != other_view(i, len(a))
            )
            expected -= math.log(power(present[i], before[i]) / below) / len(a) / 2
    assert distill_nt_xent(z, past, TEMPERATURE).item() == pytest.approx(expected, abs=1e-12)


# The strategy


def test_memory_images_follow_the_batch_and_l_ssl_is_of_the_batch_alone() -> None:
    method = tiny_method("simclr").train()
    strategy = osiris(method, augment=lambda batch, stream: (batch / 255,) * 2)
    shake(method, 0.1)
    now = step(method, strategy)
    assert [len(view) for view in now.views] == [14, 14]
    assert torch.equal(now.views[0][:8], draw_views(8)[0])
    held = {bytes(image.numpy()) for image in strategy.memory.images}
    replayed = (now.views[1][8:] * 255).round().to(torch.uint8)
    assert len({bytes(image.numpy()) for image in replayed} & held) == 6
    z1, z2 = now.encoded.projections
    torch.testing.assert_close(strategy.objective(now), nt_xent(z1[:8], z2[:8], 0.2))


@pytest.mark.parametrize("variant", BOTH)
def test_both_terms_are_in_the_space_of_the_second_head(variant: Variant) -> None:
    method = tiny_method("simclr").train()
    strategy, past = osiris(method, variant), copy.deepcopy(method)
    head = copy.deepcopy(method.projector)
    shake(method, 0.1)
    now = step(method, strategy)
    h1, h2 = map(head, now.encoded.features)
    z, u = torch.cat([h1[:8], h2[:8]]), torch.cat([h1[8:], h2[8:]])
    terms = strategy.terms(now)
    assert list(terms) == ["osiris_cross", "osiris_past"]
    torch.testing.assert_close(terms["osiris_cross"], 0.5 * cross_nt_xent(z, u, TEMPERATURE))
    if variant == "r":
        expected = nt_xent(u[:6], u[6:], TEMPERATURE)
    else:
        f1, f2 = past.encode((now.views[0][:8], now.views[1][:8])).features
        expected = distill_nt_xent(z, head(torch.cat([f1, f2])), TEMPERATURE)
    torch.testing.assert_close(terms["osiris_past"], 0.5 * expected)


@pytest.mark.parametrize("variant", BOTH)
def test_the_terms_train_the_backbone_and_the_second_head_alone(variant: Variant) -> None:
    method = tiny_method("simclr").train()
    strategy = osiris(method, variant)
    shake(method, 0.1)
    torch.stack(list(strategy.terms(step(method, strategy)).values())).sum().backward()
    assert all(p.grad is not None for p in method.backbone.parameters())
    assert all(p.grad is not None and p.grad.any() for p in strategy.head.parameters())
    assert all(p.grad is None for p in method.projector.parameters())
    if variant == "r":
        assert strategy.teacher is None
    else:
        assert strategy.teacher is not None
        assert not any(p.requires_grad for p in strategy.teacher.parameters())


def test_the_second_head_begins_as_the_projector_and_is_carried_afterwards() -> None:
    method = tiny_method("simclr")
    before = osiris(method)
    head = before.head.state_dict()
    assert all(
        torch.equal(head[key], value) for key, value in method.projector.state_dict().items()
    )
    shake(before.head, 0.1)
    carried = {key: value.clone() for key, value in before.carried().items()}
    after = osiris(method, images=tiny_images(40, seed=3), carried=carried)
    head = after.head.state_dict()
    assert all(torch.equal(head[key], carried[f"head.{key}"]) for key in head)
    assert int(after.memory.seen) == 80


def test_tensors_of_another_strategy_are_refused() -> None:
    method = tiny_method("simclr")
    carried = osiris(method).carried()
    last = list(carried)[-1]
    for wrong, message in [
        ({key: value for key, value in carried.items() if key != last}, f"{last} is missing"),
        (carried | {"fisher": torch.ones(1)}, "fisher is unknown"),
        (carried | {last: torch.ones(9)}, "size mismatch"),
        (osiris(method, memory_size=5).carried(), "the memory holds 5 images, expected 20"),
    ]:
        with pytest.raises(ValueError, match=message):
            osiris(method, carried=wrong)


@pytest.mark.parametrize("variant", BOTH)
def test_a_memory_of_nothing_is_finetune(variant: Variant) -> None:
    method = tiny_method("simclr").train()
    strategy = osiris(method, variant, memory_size=0)
    now = step(method, strategy)
    assert all(map(torch.equal, now.views, draw_views(8)))
    assert torch.equal(strategy.objective(now), method.loss(now.views, now.encoded))
    assert strategy.terms(now) == {}
    assert not any(p.requires_grad for p in strategy.head.parameters())
    assert strategy.count_images(8, 2) == 16


def test_images_of_a_step_are_counted_in_each_part_of_a_batch() -> None:
    method = tiny_method("simclr")
    assert osiris(method).count_images(8, 2) == (8 + 6) * 2
    # Two parts of 8 draw 6 each, though the memory holds no more than 6.
    assert osiris(method, memory_size=6).count_images(16, 2) == (16 + 12) * 2
    assert osiris(method, memory_size=6, batch_size=16).count_images(16, 2) == (16 + 6) * 2


@pytest.mark.parametrize("variant", BOTH)
def test_losses_are_float32_under_autocast(variant: Variant) -> None:
    method = tiny_method("simclr").train()
    strategy = osiris(method, variant)
    with torch.autocast("cpu", torch.bfloat16):
        now = step(method, strategy)
        both = [strategy.objective(now), *strategy.terms(now).values()]
    assert all(value.dtype == torch.float32 and value.isfinite() for value in both)


@pytest.mark.parametrize("variant", BOTH)
def test_features_of_replayed_images_follow_the_network(variant: Variant) -> None:
    method = tiny_method("simclr").train()
    strategy = osiris(method, variant, memory="minred")
    before = cast(MinRed, strategy.memory).features.clone()
    with torch.no_grad():
        shake(method, 0.1)
    now = step(method, strategy)
    strategy.terms(now)
    after = cast(MinRed, strategy.memory).features
    moved = (before != after).any(dim=1)
    assert sorted(moved.nonzero()[:, 0].tolist()) == sorted(set(strategy._places.tolist()))
    present = torch.stack([z[8:] for z in now.encoded.projections]).mean(dim=0)
    expected = before[strategy._places] + functional.normalize(present, dim=1)
    torch.testing.assert_close(after[strategy._places], functional.normalize(expected, dim=1))
