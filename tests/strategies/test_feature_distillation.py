"""less_forget and pfr: the backbone's features against the past ones."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from pipeline.config.registry.methods import METHODS
from pipeline.methods.base import Encoded, Method, Position
from pipeline.seeding import seeded_initialization
from pipeline.strategies.base import Step, Strategy
from pipeline.strategies.less_forget import LessForget, cosine_distance
from pipeline.strategies.pfr import PFR, mean_cosine
from pipeline.training.optim import Optimization, build_optimizer
from pipeline.training.optimizers.adamw import AdamW
from tests.support.networks import draw_views, shake, task_start, tiny_method

VIEWS = draw_views(8)


def less_forget(method: Method, weight: float = 1.0, **changes: object) -> LessForget:
    strategy = LessForget(weight=weight, teacher_batchnorm="batch")
    strategy.begin_task(task_start(method, **changes))
    return strategy


def pfr(method: Method, weight: float = 1.0, **changes: object) -> PFR:
    with seeded_initialization(0, "test strategy"):
        strategy = PFR(weight=weight, predictor_hidden=4, teacher_batchnorm="batch")
        strategy.begin_task(task_start(method, **changes))
    return strategy


def step(method: Method) -> Step:
    return Step(method, VIEWS, method.encode(VIEWS), Position(0, 4, 8))


def test_cosines_by_hand() -> None:
    features = torch.tensor([[3.0, 0.0], [1.0, 1.0], [0.0, 2.0]])
    past = torch.tensor([[0.5, 0.0], [1.0, 0.0], [0.0, -7.0]])
    mean = (1 + 0.5**0.5 - 1) / 3
    assert mean_cosine(features, past).item() == pytest.approx(mean)
    assert cosine_distance(features, past).item() == pytest.approx(1 - mean)


@pytest.mark.parametrize("name", METHODS)
def test_less_forget_is_zero_for_the_unchanged_network(name: str) -> None:
    method = tiny_method(name).train()
    strategy = less_forget(method, weight=5.0)
    assert strategy.terms(step(method))["less_forget"].item() == pytest.approx(0, abs=1e-5)


def test_less_forget_grows_with_the_distance_and_its_gradient_pulls_back() -> None:
    past = tiny_method("simclr").train()
    strategy = less_forget(past)
    distances = []
    for scale in (0.01, 0.05, 0.2):
        method = copy.deepcopy(past)
        shake(method.backbone, scale)
        distances.append(strategy.terms(step(method))["less_forget"].item())
    assert 0 < distances[0] < distances[1] < distances[2]
    optimizer = torch.optim.Adam(method.parameters(), 0.01)
    for _ in range(40):
        optimizer.zero_grad()
        value = strategy.terms(step(method))["less_forget"]
        value.backward()
        optimizer.step()
    assert value.item() < 0.5 * distances[2]


def test_less_forget_is_the_weighted_distance_over_all_views() -> None:
    method = tiny_method("simclr").train()
    strategy = less_forget(method, weight=3.0)
    past = copy.deepcopy(method)
    shake(method, 0.1)
    now = step(method)
    h, h_past = torch.cat(now.encoded.features), torch.cat(past.encode(VIEWS).features)
    cosines = (h * h_past).sum(1) / (h.norm(dim=1) * h_past.norm(dim=1))
    torch.testing.assert_close(strategy.terms(now)["less_forget"], 3 * (1 - cosines).mean())


def test_the_projector_is_left_alone() -> None:
    method = tiny_method("simclr").train()
    for strategy in (less_forget(method), pfr(method)):
        method.zero_grad()
        (term,) = strategy.terms(step(method)).values()
        term.backward()
        assert all(parameter.grad is None for parameter in method.projector.parameters())
        assert any(
            parameter.grad is not None and parameter.grad.any()
            for parameter in method.backbone.parameters()
        )


def test_pfr_is_minus_the_weighted_cosine_of_the_projected_features() -> None:
    method = tiny_method("simclr").train()
    strategy = pfr(method, weight=2.0)
    assert strategy.predictor is not None
    past, predictor = copy.deepcopy(method), copy.deepcopy(strategy.predictor)
    shake(method, 0.1)
    now = step(method)
    m = predictor(torch.cat(now.encoded.features))
    h_past = torch.cat(past.encode(VIEWS).features)
    cosines = (m * h_past).sum(1) / (m.norm(dim=1) * h_past.norm(dim=1))
    torch.testing.assert_close(strategy.terms(now)["pfr"], -2 * cosines.mean())


def optimised(method: Method, strategy: Strategy) -> set[Tensor]:
    options = Optimization(
        AdamW,
        0.01,
        weight_decay=0.1,
        exclude_norms_and_biases=True,
        epochs=1,
        warmup_epochs=0,
        warmup_start=0,
        final_learning_rate=0,
    )
    groups = build_optimizer([method, strategy], options).param_groups
    return {parameter for group in groups for parameter in group["params"]}


@pytest.mark.parametrize("name", METHODS)
def test_pfrs_predictor_is_the_only_new_module_in_the_optimiser(name: str) -> None:
    method = tiny_method(name)
    strategy = pfr(method)
    assert strategy.predictor is not None
    new = optimised(method, strategy) - optimised(method, Strategy())
    assert new == set(strategy.predictor.parameters())
    sizes = [tuple(p.shape) for p in strategy.predictor.parameters() if p.ndim == 2]
    assert sizes == [(4, 8), (8, 4)]


def test_less_forget_brings_nothing_to_the_optimiser() -> None:
    method = tiny_method("simclr")
    assert optimised(method, less_forget(method)) == optimised(method, Strategy())


def test_the_past_backbone_is_frozen_and_stays_in_eval_mode() -> None:
    method = tiny_method("simclr").train()
    for strategy in (less_forget(method), pfr(method)):
        assert strategy.teacher is not None
        before = {name: value.clone() for name, value in strategy.teacher.state_dict().items()}
        optimizer = torch.optim.SGD(list(optimised(method, strategy)), 0.1)
        strategy.train()
        for _ in range(2):
            now = step(method)
            terms = [method.loss(now.views, now.encoded), *strategy.terms(now).values()]
            optimizer.zero_grad()
            torch.stack(terms).sum().backward()
            optimizer.step()
        after = strategy.teacher.state_dict()
        assert all(torch.equal(value, before[name]) for name, value in after.items())
        assert not any(module.training for module in strategy.teacher.modules())
        assert not any(p.requires_grad for p in strategy.teacher.parameters())


def test_neither_carries_anything_or_takes_over_what_others_carried() -> None:
    method = tiny_method("simclr")
    for build in (less_forget, pfr):
        assert build(method).carried() == {}
        with pytest.raises(ValueError, match="fisher is unknown"):
            build(method, carried={"fisher": torch.ones(3)})


def test_features_are_compared_in_float32_under_autocast() -> None:
    method = tiny_method("simclr").train()
    for strategy in (less_forget(method), pfr(method)):
        with torch.autocast("cpu", torch.bfloat16):
            (term,) = strategy.terms(step(method)).values()
        assert term.dtype == torch.float32
        assert term.isfinite()


def test_a_step_before_the_task_began_is_our_own_mistake() -> None:
    method = tiny_method("simclr")
    now = Step(method, VIEWS, Encoded(VIEWS, VIEWS), Position(0, 1, 1))
    with pytest.raises(AssertionError, match="has not begun"):
        LessForget(weight=1, teacher_batchnorm="batch").terms(now)
