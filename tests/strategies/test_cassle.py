"""CaSSLe: distillation from the past network."""

from __future__ import annotations

import copy
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

from pipeline.methods.base import Method, Position, Views
from pipeline.methods.simclr import SimCLR
from pipeline.models.small_resnet import SmallResNet
from pipeline.seeding import seeded_initialization
from pipeline.strategies.base import Step, Strategy
from pipeline.strategies.cassle import Cassle
from pipeline.training.optim import Optimization, build_optimizer
from pipeline.training.optimizers.adamw import AdamW
from tests.support.networks import task_start

BatchNorm = Literal["batch", "running"]
BOTH: list[BatchNorm] = ["batch", "running"]
OPTIMISATION = Optimization(
    AdamW,
    0.01,
    weight_decay=0.1,
    exclude_norms_and_biases=True,
    epochs=1,
    warmup_epochs=0,
    warmup_start=0,
    final_learning_rate=0,
)


def views(seed: int = 0, count: int = 8) -> Views:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.rand(count, 1, 16, 16, generator=generator) for _ in range(2))


def past_network() -> Method:
    """A network whose BatchNorm statistics are not those of any one batch."""
    with seeded_initialization(0, "method"):
        backbone = SmallResNet(1, "conv3_stride2", widths=[4, 8], blocks=1)
        method = SimCLR(backbone, temperature=0.2, distill_temperature=0.3, projector=[8, 6])
    for seed in range(3):
        method.encode(views(100 + seed))
    return method


def begin(
    method: Method, seed: int = 0, carried: dict[str, Tensor] | None = None, **changes: Any
) -> Cassle:
    options: dict[str, Any] = {
        "distill_weight": 1.0,
        "predictor": "mlp",
        "predictor_hidden": 10,
        "carry_predictor": True,
        "teacher_batchnorm": "batch",
    }
    strategy = Cassle(**(options | changes))
    with seeded_initialization(seed, "strategy"):
        strategy.begin_task(task_start(method, carried=carried or {}))
    return strategy


def step(method: Method, seed: int = 0) -> Step:
    batch = views(seed)
    return Step(method, batch, method.encode(batch), Position(0, 1, 10))


def train(method: Method, strategy: Strategy, steps: int = 2) -> None:
    optimizer = build_optimizer([method, strategy], OPTIMISATION)
    for seed in range(steps):
        now = step(method, seed)
        terms = [method.loss(now.views, now.encoded), *strategy.terms(now).values()]
        optimizer.zero_grad()
        torch.autograd.backward(torch.stack(terms).sum())
        optimizer.step()


def tensors(module: nn.Module) -> dict[str, Tensor]:
    found = dict(module.named_parameters()) | dict(module.named_buffers())
    return {name: tensor.detach().clone() for name, tensor in found.items()}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


def teacher_of(strategy: Cassle) -> Method:
    assert strategy.teacher is not None
    return strategy.teacher


def test_the_term_is_the_weighted_distance_from_prediction_to_past() -> None:
    method = past_network()
    strategy = begin(method, distill_weight=0.7)
    past = copy.deepcopy(method).train()
    train(method, strategy)
    now = step(method, 5)
    first, norm, _, last = copy.deepcopy(strategy.distiller["predictor"]).children()
    hidden = first(torch.cat(now.encoded.projections))
    centred = hidden - hidden.mean(0)
    normed = centred / (centred.square().mean(0) + 1e-5).sqrt() * norm.weight + norm.bias
    predicted = last(normed.clamp(min=0)).chunk(2)
    with torch.no_grad():
        z1, z2 = past.encode(now.views).projections
    expected = 0.7 * method.distill(predicted, (z1, z2))
    terms = strategy.terms(now)
    assert list(terms) == ["distill"]
    torch.testing.assert_close(terms["distill"], expected)


def test_the_term_grows_in_proportion_to_the_weight() -> None:
    method = past_network()
    now = step(method)
    small, large = (
        begin(method, distill_weight=weight).terms(now)["distill"] for weight in (0.5, 2.0)
    )
    assert small.item() > 0
    torch.testing.assert_close(large, 4 * small)


def test_at_weight_zero_nothing_is_built_and_nothing_is_added() -> None:
    method = past_network()
    strategy = begin(method, distill_weight=0.0)
    assert strategy.teacher is None
    assert strategy.terms(step(method)) == {}
    assert list(strategy.parameters()) == []
    assert strategy.carried() == {}


def test_without_a_predictor_the_projections_themselves_are_compared() -> None:
    method = past_network()
    strategy = begin(method, predictor="none")
    assert [p for p in strategy.parameters() if p.requires_grad] == []
    assert strategy.carried() == {}
    train(method, strategy)
    now = step(method, 5)
    past = teacher_of(strategy).encode(now.views).projections
    expected = method.distill(now.encoded.projections, past)
    torch.testing.assert_close(strategy.terms(now)["distill"], expected)


@pytest.mark.parametrize("batch_norm", BOTH)
def test_past_network_is_unchanged_by_training_steps(batch_norm: BatchNorm) -> None:
    method = past_network()
    student_before = tensors(method)
    strategy = begin(method, teacher_batchnorm=batch_norm)
    teacher = teacher_of(strategy)
    teacher_before = tensors(teacher)
    assert all(torch.equal(teacher_before[name], student_before[name]) for name in teacher_before)
    predictor_before = tensors(strategy.distiller)
    train(method, strategy)
    assert same(tensors(teacher), teacher_before)
    assert not any(torch.equal(p, student_before[n]) for n, p in method.named_parameters())
    assert not same(tensors(method), student_before)
    assert not same(tensors(strategy.distiller), predictor_before)


@pytest.mark.parametrize("batch_norm", BOTH)
def test_no_gradient_reaches_the_past_network(batch_norm: BatchNorm) -> None:
    method = past_network()
    strategy = begin(method, teacher_batchnorm=batch_norm)
    torch.autograd.backward(strategy.terms(step(method))["distill"])
    assert all(not p.requires_grad and p.grad is None for p in teacher_of(strategy).parameters())
    assert all(p.grad is not None for p in strategy.distiller.parameters())
    assert all(p.grad is not None for p in method.parameters())


def test_the_past_network_normalises_with_the_batch_or_with_its_stored_statistics() -> None:
    method = past_network()
    batch = views(7)
    by_batch, by_running = (
        teacher_of(begin(method, teacher_batchnorm=batch_norm)).encode(batch).projections[0]
        for batch_norm in BOTH
    )
    assert (by_batch - by_running).abs().max() > 1e-3
    with torch.no_grad():
        in_train_mode = copy.deepcopy(method).train().encode(batch).projections[0]
        in_eval_mode = copy.deepcopy(method).eval().encode(batch).projections[0]
    torch.testing.assert_close(by_batch, in_train_mode)
    torch.testing.assert_close(by_running, in_eval_mode)


def test_only_the_predictor_is_trained() -> None:
    strategy = begin(past_network())
    trained = {name for name, p in strategy.named_parameters() if p.requires_grad}
    assert trained == {f"distiller.{name}" for name, _ in strategy.distiller.named_parameters()}


@pytest.mark.parametrize("batch_norm", BOTH)
def test_switching_to_training_leaves_the_past_network_in_eval_mode(batch_norm: BatchNorm) -> None:
    strategy = begin(past_network(), teacher_batchnorm=batch_norm)
    around = nn.ModuleList([strategy])
    for mode in (True, False, True):
        around.train(mode)
        assert not any(module.training for module in teacher_of(strategy).modules())
        assert all(module.training == mode for module in strategy.distiller.modules())


def test_the_next_task_goes_on_from_exactly_the_carried_predictor() -> None:
    method = past_network()
    before = begin(method)
    train(method, before)
    carried = {name: tensor.clone() for name, tensor in before.carried().items()}
    new = begin(method, seed=1)
    assert not same(tensors(new.distiller), tensors(before.distiller))
    after = begin(method, seed=1, carried=carried)
    assert same(tensors(after.distiller), tensors(before.distiller))
    assert same(after.carried(), carried)


def test_a_predictor_that_is_not_carried_starts_anew() -> None:
    method = past_network()
    before = begin(method, carry_predictor=False)
    new = tensors(before.distiller)
    train(method, before)
    assert before.carried() == {}
    assert not same(tensors(before.distiller), new)
    after = begin(method, carry_predictor=False, carried=before.carried())
    assert same(tensors(after.distiller), new)


def test_tensors_of_another_predictor_are_refused() -> None:
    method = past_network()
    carried = begin(method).carried()
    missing = dict(list(carried.items())[1:])
    unknown = carried | {"more.weight": torch.zeros(1)}
    misshapen = begin(method, predictor_hidden=11).carried()
    for wrong, message in [
        (missing, "is missing"),
        (unknown, "more.weight is unknown"),
        (misshapen, "size mismatch"),
    ]:
        with pytest.raises(ValueError, match=message):
            begin(method, carried=wrong)


@pytest.mark.parametrize("changes", [{"carry_predictor": False}, {"distill_weight": 0}])
def test_carried_tensors_that_would_be_unused_are_refused(changes: dict[str, Any]) -> None:
    method = past_network()
    with pytest.raises(ValueError, match="is unknown"):
        begin(method, carried=begin(method).carried(), **changes)


def test_finetuning_adds_nothing_and_takes_over_nothing() -> None:
    strategy, now = Strategy(), step(past_network())
    assert strategy.terms(now) == {}
    assert strategy.mix(now.views, now.at) is now.views
    assert strategy.carried() == {}
    assert strategy.phases([100, 50], 10, 7) == (7,)
    strategy.begin_task(task_start(now.method))
    with pytest.raises(ValueError, match=r"b\.weight is unknown"):
        strategy.begin_task(task_start(now.method, carried={"b.weight": torch.zeros(1)}))
