"""DINO: the loss, centring and sharpening, the head, and the method."""

from __future__ import annotations

import copy
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from pipeline.methods.base import Position
from pipeline.methods.dino import DINO, build_head, dino_loss, schedule_temperature, sharpen
from pipeline.methods.prototypes import Prototypes
from pipeline.models.frozen import frozen_copy
from pipeline.models.loading import load_strictly
from pipeline.seeding import seeded_initialization
from pipeline.training.epoch_log import EpochLog
from tests.support.definitions import cosine, draw
from tests.support.networks import draw_views, parts_of_state, shake, tiny_method

Table = NDArray[np.float64]
TAU_S, TAU_T = 0.1, 0.05
EPOCHS = 10  # of a task, of four steps each


def tiny_dino(**changes: object) -> DINO:
    method = tiny_method("dino", **changes)
    assert isinstance(method, DINO)
    return method


def softmax_by_definition(scores: Table, temperature: float) -> Table:
    rows = [[math.exp(score / temperature) for score in row] for row in scores]
    return np.array([[each / sum(row) for each in row] for row in rows])


def cross_entropy_by_definition(own: Table, target: Table, temperature: float) -> float:
    probabilities = softmax_by_definition(own, temperature)
    total = 0.0
    for row, wanted in zip(probabilities, target, strict=True):
        total -= sum(q * math.log(p) for p, q in zip(row, wanted, strict=True))
    return total / len(own)


def scores_by_definition(z: Tensor, prototypes: Tensor) -> Table:
    vectors, directions = z.detach().double().numpy(), prototypes.detach().double().numpy()
    return np.array([[cosine(v, c) for c in directions] for v in vectors])


def dino_by_definition(own: list[Table], teacher: list[Table], center: Table) -> float:
    targets = [softmax_by_definition(scores - center, TAU_T) for scores in teacher]
    pairs = [(view, other) for view in range(len(own)) for other in range(len(teacher))]
    terms = [
        cross_entropy_by_definition(own[view], targets[other], TAU_S)
        for view, other in pairs
        if view != other
    ]
    return sum(terms) / len(terms)


@pytest.mark.parametrize("views", [2, 3])
@pytest.mark.parametrize(("count", "size"), [(1, 4), (5, 3), (7, 12)])
def test_the_loss_is_its_definition(count: int, size: int, views: int) -> None:
    drawn = [draw(count, size, 0.2, seed) for seed in range(views)]
    center = 0.1 * draw(1, size)[0][0]
    temperature = torch.tensor(TAU_T)
    targets = tuple(sharpen(teacher, center, temperature) for _, teacher in drawn)
    found = dino_loss(tuple(own for own, _ in drawn), targets, TAU_S)
    own, teacher = ([pair[side].double().numpy() for pair in drawn] for side in (0, 1))
    expected = dino_by_definition(own, teacher, center.double().numpy())
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_the_gradient_is_that_of_finite_differences_and_the_target_has_none() -> None:
    first, second = (each.double().requires_grad_() for each in draw(4, 3, 0.2))
    center, temperature = torch.zeros(3).double(), torch.tensor(TAU_T).double()
    targets = tuple(sharpen(each.double(), center, temperature) for each in draw(4, 3, 0.2, 1))

    def loss(*scores: Tensor) -> Tensor:
        return dino_loss(scores, targets, TAU_S)

    assert torch.autograd.gradcheck(loss, (first, second))


def test_what_all_scores_have_in_common_is_centred_away() -> None:
    scores, _ = draw(6, 5)
    offset = draw(1, 5, 10.0, 1)[0][0]
    temperature = torch.tensor(0.5)
    moved = sharpen(scores + offset, offset, temperature)
    torch.testing.assert_close(moved, sharpen(scores, torch.zeros(5), temperature))


def test_the_loss_of_the_method_is_that_of_both_its_networks() -> None:
    method = tiny_dino(temperature=TAU_S, warmup_teacher_temperature=TAU_T).eval()
    shake(method.backbone, 0.1)  # else both networks are the same
    method.center.copy_(0.1 * draw(1, 5)[0][0])
    views = draw_views(6)
    encoded = method.encode(views)
    own = [scores_by_definition(z, method.prototypes.weight) for z in encoded.projections]
    past = [
        scores_by_definition(z, method.momentum_prototypes.weight)
        for z in method.momentum_projections(views)
    ]
    expected = dino_by_definition(own, past, method.center.double().numpy())
    assert method.loss(views, encoded).item() == pytest.approx(expected, rel=1e-5)


def test_the_distillation_is_the_cross_entropy_of_the_frozen_assignment() -> None:
    method = tiny_dino(distill_temperature=0.2)
    past, predicted = draw(7, 6)
    head = method.distill_head()
    assert isinstance(head, Prototypes)
    own = scores_by_definition(predicted, head.weight)
    frozen = scores_by_definition(past, method.prototypes.weight)
    target = softmax_by_definition(frozen, 0.2)
    found = method.compare(head(predicted), method.distill_target(past))
    assert found.item() == pytest.approx(cross_entropy_by_definition(own, target, 0.2), rel=1e-5)
    assert not torch.equal(head.weight, method.prototypes.weight)


# The schedules


@pytest.mark.parametrize("warmup", [0, 1, 2, 7])
def test_the_teachers_temperature_rises_as_in_the_reference(warmup: int) -> None:
    rising = np.linspace(0.04, 0.07, warmup)
    expected = [*rising, *[0.07] * (EPOCHS - warmup)]
    found = [schedule_temperature(epoch, 0.04, 0.07, warmup) for epoch in range(EPOCHS)]
    assert found == pytest.approx(expected)


def test_temperature_and_prototypes_follow_the_epochs_of_a_task() -> None:
    method = tiny_dino(warmup_teacher_temperature_epochs=3, freeze_prototypes_epochs=1)
    used, frozen = [], []
    for step in range(4 * 4):
        used.append(round(float(method.sharpness), 6))
        views = draw_views(4, step)
        method.loss(views, method.encode(views)).backward()  # type: ignore[no-untyped-call]
        method.after_backward(Position(step, 4, 4 * EPOCHS))
        frozen.append(method.prototypes.weight.grad is None)
        method.zero_grad()
        method.after_step(Position(step + 1, 4, 4 * EPOCHS))
    assert used == [0.04] * 4 + [0.055] * 4 + [0.07] * 8
    assert frozen == [True] * 4 + [False] * 12


def test_the_centre_is_a_moving_average_of_the_teachers_scores_over_all_parts() -> None:
    method = tiny_dino(center_momentum=0.75)
    means = []
    for step in range(3):
        parts = []
        for part in range(2):
            views = draw_views(4, 2 * step + part)
            twin = copy.deepcopy(method)  # the loss moves BatchNorm's statistics
            scores = twin.momentum_prototypes(torch.cat(twin.momentum_projections(views)))
            parts.append(scores.detach().mean(dim=0))
            method.loss(views, method.encode(views))
        before = method.center.clone()
        method.after_step(Position(step + 1, 4, 40))
        means.append(torch.stack(parts).mean(dim=0))
        torch.testing.assert_close(method.center, 0.75 * before + 0.25 * means[-1])
    assert method.center.abs().sum() > 0


def test_the_momentum_network_follows_with_its_prototypes() -> None:
    method = tiny_dino(momentum=0.5, final_momentum=1.0)
    pairs = [
        (method.backbone, method.momentum_backbone),
        (method.projector, method.momentum_projector),
        (method.prototypes, method.momentum_prototypes),
    ]
    for fast, slow in pairs:
        assert all(map(torch.equal, fast.parameters(), slow.parameters()))
    shake(method, 0.1)
    before = copy.deepcopy(pairs)
    method.after_step(Position(20, 4, 40))  # half way: 0.75
    for (fast, slow), (_, old) in zip(pairs, before, strict=True):
        for new, now, past in zip(
            slow.parameters(), fast.parameters(), old.parameters(), strict=True
        ):
            torch.testing.assert_close(new, 0.75 * past + 0.25 * now)
    method.after_step(Position(40, 4, 40))
    after = copy.deepcopy(method.momentum_prototypes.weight)
    assert torch.equal(after, method.momentum_prototypes.weight)


# The head


@pytest.mark.parametrize("batch_norm", [True, False])
def test_the_head_is_three_layers_with_gelu(batch_norm: bool) -> None:
    head = build_head([8, 12, 10, 6], batch_norm=batch_norm)
    hidden = ["Linear", "BatchNorm1d", "GELU"] if batch_norm else ["Linear", "GELU"]
    assert [type(layer).__name__ for layer in head] == [*hidden, *hidden, "Linear"]
    layers = [layer for layer in head if isinstance(layer, nn.Linear)]
    assert [layer.out_features for layer in layers] == [12, 10, 6]
    for layer in layers:
        assert layer.weight.abs().max() < 0.1
        assert not layer.bias.any()


def test_a_head_of_one_layer_is_the_bottleneck() -> None:
    head = build_head([8, 6], batch_norm=True)
    assert [type(layer).__name__ for layer in head] == ["Linear"]


@pytest.mark.parametrize("train_lengths", [True, False])
def test_the_prototypes_are_a_layer_under_weight_normalisation(train_lengths: bool) -> None:
    with seeded_initialization(0, "test"):
        prototypes = Prototypes(6, 5, train_lengths, 1.0)
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(6, 5, bias=False))
    weights = layer.parametrizations.weight
    with torch.no_grad():
        weights.original0.fill_(1)
        weights.original1.copy_(prototypes.weight)
    z, _ = draw(7, 6)
    expected = layer(functional.normalize(z, dim=1))
    torch.testing.assert_close(prototypes(z), expected)
    found = torch.autograd.grad(prototypes(z).square().sum(), prototypes.parameters())
    wanted = torch.autograd.grad(expected.square().sum(), [weights.original1, weights.original0])
    for ours, theirs in zip(found, wanted, strict=False):
        torch.testing.assert_close(ours, theirs)
    assert len(found) == 1 + train_lengths


@pytest.mark.parametrize("train_lengths", [True, False])
def test_prototypes_survive_a_file_strict_loading_and_a_frozen_copy(
    train_lengths: bool, tmp_path: Path
) -> None:
    method = tiny_dino(train_prototype_lengths=train_lengths)
    shake(method, 0.1)
    z, _ = draw(3, 6)
    expected = method.prototypes(z)
    save_file(method.state_dict(), tmp_path / "state.safetensors")
    again = tiny_dino(train_prototype_lengths=train_lengths)
    load_strictly(again, load_file(tmp_path / "state.safetensors"))
    assert torch.equal(again.prototypes(z), expected)
    teacher = frozen_copy(again, "batch")
    shake(again, 0.1)
    assert torch.equal(teacher.distill_target(z), expected)
    assert not teacher.distill_target(z).requires_grad


def test_what_crosses_a_task_boundary() -> None:
    method = tiny_dino()
    assert parts_of_state(method) == {
        "backbone",
        "projector",
        "prototypes",
        "momentum_backbone",
        "momentum_projector",
        "momentum_prototypes",
        "center",
    }
    # A checkpoint within a task holds it.
    assert "sharpness" in dict(method.named_buffers())


# Collapse


def test_a_collapse_is_noticed(caplog: pytest.LogCaptureFixture) -> None:
    method = tiny_dino()
    assert isinstance(method.projector, nn.Sequential)
    with torch.no_grad():
        bottleneck = method.projector[-1]
        assert isinstance(bottleneck, nn.Linear)
        bottleneck.weight.zero_()
        bottleneck.bias.fill_(1)  # the same for all images
    log = EpochLog(1, 1)
    views = draw_views(16)
    encoded = method.encode(views)
    log.add({"ssl": method.loss(views, encoded)})
    log.end_epoch(1, torch.cat(encoded.projections).detach(), 0.1)
    assert "the projections have collapsed" in caplog.text
    fresh, rows = tiny_dino(), EpochLog(1, 1)
    caplog.clear()
    rows.add({"ssl": torch.tensor(1.0)})
    rows.end_epoch(1, torch.cat(fresh.encode(views).projections).detach(), 0.1)
    assert not caplog.text
