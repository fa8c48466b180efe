"""PNR: the past network's part in training, and what crosses a task boundary."""

from __future__ import annotations

import copy
from typing import cast

import pytest
import torch
from torch import Tensor

from pipeline.config.registry.strategies import STRATEGIES
from pipeline.methods.base import Method, Position
from pipeline.methods.mocov2plus import MoCoV2Plus
from pipeline.methods.pseudo_negatives import nt_xent_with_past, prediction_among_present
from pipeline.seeding import seeded_initialization
from pipeline.strategies.base import Step
from pipeline.strategies.pnr import PNR
from tests.support.networks import draw_views, shake, task_start, tiny_method

METHODS = STRATEGIES["pnr"].methods


def pnr(method: Method, weight: float = 1.0, hidden: int = 4, **changes: object) -> PNR:
    with seeded_initialization(0, "test strategy"):
        strategy = PNR(
            weight=weight, negative_weight=None, predictor_hidden=hidden, teacher_batchnorm="batch"
        )
        strategy.begin_task(task_start(method, **changes))
    return strategy


def step(method: Method, count: int = 8, at: Position | None = None) -> Step:
    views = draw_views(count)
    return Step(method, views, method.encode(views), at or Position(0, 4, 8))


def values(strategy: PNR, now: Step) -> tuple[Tensor, Tensor]:
    """What stands in for L_SSL, and what is added."""
    return strategy.objective(now), strategy.terms(now)["pnr"]


def train(method: Method, strategy: PNR, steps: int = 2) -> None:
    trained = [p for p in (*method.parameters(), *strategy.parameters()) if p.requires_grad]
    optimizer = torch.optim.SGD(trained, 0.1)
    for number in range(steps):
        optimizer.zero_grad()
        torch.stack(values(strategy, step(method))).sum().backward()
        optimizer.step()
        after = Position(number + 1, 4, 8)
        method.after_step(after)
        strategy.after_step(method, after)


def test_simclr_is_contrasted_with_the_network_as_the_task_before_left_it() -> None:
    method = tiny_method("simclr").train()
    strategy, past = pnr(method, weight=3.0), copy.deepcopy(method)
    predictor = copy.deepcopy(strategy.kept["predictor"])
    shake(method, 0.1)
    now = step(method)
    z, z_past = torch.cat(now.encoded.projections), torch.cat(past.encode(now.views).projections)
    stand_in, added = values(strategy, now)
    torch.testing.assert_close(stand_in, nt_xent_with_past(z, z_past, 0.2))
    torch.testing.assert_close(added, 3 * prediction_among_present(predictor(z), z_past, z, 0.2))


@pytest.mark.parametrize("name", METHODS)
def test_the_past_network_is_frozen_and_all_else_is_trained(name: str) -> None:
    method = tiny_method(name).train()
    strategy = pnr(method)
    assert strategy.teacher is not None
    teacher = {key: value.clone() for key, value in strategy.teacher.state_dict().items()}
    before = {key: value.clone() for key, value in method.named_parameters()}
    predictor = copy.deepcopy(strategy.kept["predictor"].state_dict())
    strategy.train()
    train(method, strategy)
    after = strategy.teacher.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in teacher.items())
    assert not any(module.training for module in strategy.teacher.modules())
    moved = {key for key, value in method.named_parameters() if not torch.equal(value, before[key])}
    assert {"backbone", "projector"} <= {key.partition(".")[0] for key in moved}
    changed = strategy.kept["predictor"].state_dict()
    assert not any(torch.equal(value, changed[key]) for key, value in predictor.items())
    # The momentum network, the queue and the predictor of L_SSL have no part in the past.
    assert {key.partition(".")[0] for key in after} == {"backbone", "projector"}


@pytest.mark.parametrize("name", METHODS)
def test_the_next_task_goes_on_from_exactly_what_is_carried(name: str) -> None:
    method = tiny_method(name).train()
    before = pnr(method)
    train(method, before)
    carried = {key: value.clone() for key, value in before.carried().items()}
    queue = {"negatives.queue", "negatives.queue_pointer"}
    assert {key for key in carried if not key.startswith("predictor.")} == (
        queue if name == "mocov2plus" else set()
    )
    after = pnr(method, carried=carried).carried()
    assert after.keys() == carried.keys()
    assert all(torch.equal(after[key], value) for key, value in carried.items())


@pytest.mark.parametrize("name", ["simclr", "mocov2plus"])
def test_tensors_of_another_strategy_are_refused(name: str) -> None:
    method = tiny_method(name)
    carried = pnr(method).carried()
    last = list(carried)[-1]
    others = "byol" if name == "mocov2plus" else "mocov2plus"
    for wrong, message in [
        ({key: value for key, value in carried.items() if key != last}, f"{last} is missing"),
        (carried | {"fisher": torch.ones(1)}, "fisher is unknown"),
        (pnr(method, hidden=5).carried(), "size mismatch"),
        (pnr(tiny_method(others)).carried(), "is missing|is unknown"),
    ]:
        with pytest.raises(ValueError, match=message):
            pnr(method, carried=wrong)


def test_mocos_queues_take_in_each_part_of_a_batch() -> None:
    method = tiny_method("mocov2plus", queue_size=8).train()
    strategy = pnr(method)
    parts = [step(method, 3, Position(0, 4, 8, part, 2)) for part in (0, 1)]
    past = []
    for now in parts:
        values(strategy, now)
        past.append(torch.stack(cast(Method, strategy.teacher).encode(now.views).projections))
    method.after_step(Position(1, 4, 8))
    strategy.after_step(method, Position(1, 4, 8))
    queue = strategy.carried()["negatives.queue"]
    torch.testing.assert_close(queue[:, :6], torch.cat(past, dim=1))
    assert int(strategy.carried()["negatives.queue_pointer"]) == 6
    assert int(cast(MoCoV2Plus, method).queue_pointer) == 6


@pytest.mark.parametrize("name", METHODS)
def test_a_step_passes_the_batch_backward_once(name: str) -> None:
    assert pnr(tiny_method(name)).count_images(16, 2) == 32


@pytest.mark.parametrize("name", METHODS)
def test_losses_are_float32_under_autocast(name: str) -> None:
    method = tiny_method(name).train()
    strategy = pnr(method)
    with torch.autocast("cpu", torch.bfloat16):
        both = values(strategy, step(method))
    assert all(value.dtype == torch.float32 and value.isfinite() for value in both)
