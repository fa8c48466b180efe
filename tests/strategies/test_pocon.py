"""pocon: an expert, then its consolidation with the past network."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline import layout
from pipeline.files.csv_tables import read_csv
from pipeline.methods.base import Method, Position
from pipeline.seeding import seeded_initialization
from pipeline.strategies.base import Step
from pipeline.strategies.pocon import EXPERT, PAST, POCON, normalized_distance
from tests.support.interruption import KilledError, at_step, kill
from tests.support.networks import draw_views, shake, task_start, tiny_method
from tests.support.project import Project

VIEWS = draw_views(8)
FIRST, SECOND = Position(0, 4, 8), Position(8, 4, 4, phase=1, phase_start=8)


def pocon(method: Method, weight: float = 25.0) -> POCON:
    with seeded_initialization(0, "test strategy"):
        strategy = POCON(weight=weight, consolidation=0.5, adapter_hidden=4)
        strategy.begin_task(task_start(method))
    return strategy


def step(method: Method, at: Position) -> Step:
    return Step(method, VIEWS, method.encode(VIEWS), at)


def modules(strategy: POCON) -> nn.ModuleDict:
    assert isinstance(strategy.teacher, nn.ModuleDict)
    return strategy.teacher


@pytest.mark.unit
def test_the_distance_by_hand() -> None:
    adapted = torch.tensor([[3.0, 4.0], [0.0, 2.0]], dtype=torch.float64)
    target = torch.tensor([[1.0, 0.0], [0.0, 5.0]], dtype=torch.float64)
    # (0.6, 0.8) - (1, 0) and (0, 1) - (0, 1).
    assert normalized_distance(adapted, target).item() == pytest.approx((0.16 + 0.64) ** 0.5)


@pytest.mark.unit
@pytest.mark.parametrize(("epochs", "expected"), [(500, (500, 250)), (1, (1, 1)), (5, (5, 2))])
def test_the_second_phase_is_half_as_long(epochs: int, expected: tuple[int, int]) -> None:
    strategy = POCON(weight=1, consolidation=0.5, adapter_hidden=4)
    assert strategy.phases([100], 10, epochs) == expected


@pytest.mark.unit
def test_the_expert_never_sees_the_past_network() -> None:
    method = tiny_method("simclr").train()
    strategy, alone = pocon(method), copy.deepcopy(method)
    shake(modules(strategy)[PAST], 10.0)  # whatever it holds
    first = step(method, FIRST)
    objective = strategy.objective(first)
    assert objective is not None
    assert strategy.terms(first) == {}
    assert torch.equal(objective, alone.loss(VIEWS, alone.encode(VIEWS)))
    objective.backward()
    assert all(parameter.grad is None for parameter in strategy.parameters())


@pytest.mark.unit
def test_the_second_phase_begins_with_the_past_network_and_freezes_the_expert() -> None:
    method = tiny_method("simclr").train()
    past, strategy = copy.deepcopy(method), pocon(method)
    shake(method, 0.1)
    expert = copy.deepcopy(method)
    strategy.begin_phase(method, 1)
    for name, tensor in past.backbone.state_dict().items():
        assert torch.equal(method.backbone.state_dict()[name], tensor), name
        assert torch.equal(modules(strategy)[PAST].state_dict()[name], tensor), name
    for name, tensor in expert.state_dict().items():
        if name.startswith("backbone."):
            held = modules(strategy)[EXPERT].state_dict()[name.removeprefix("backbone.")]
            assert torch.equal(held, tensor), name
        else:
            assert torch.equal(method.state_dict()[name], tensor), name


@pytest.mark.unit
def test_the_loss_of_the_second_phase_by_hand() -> None:
    method = tiny_method("simclr").double().train()
    strategy = pocon(method, weight=3.0).double()
    shake(method, 0.1)
    strategy.begin_phase(method, 1)
    shake(method.backbone, 0.05)
    views = tuple(view.double() for view in VIEWS)
    now = Step(method, views, method.encode(views), SECOND)
    assert strategy.objective(now) is None
    found = strategy.terms(now)
    features = torch.cat(now.encoded.features)
    for name, weight in ((EXPERT, 1.0), (PAST, 3.0)):
        adapted = copy.deepcopy(strategy.adapters[name])(features).detach().numpy()
        target = modules(strategy)[name](torch.cat(views)).numpy()
        total = 0.0
        for rows in (range(8), range(8, 16)):
            squares = 0.0
            for row in rows:
                a = adapted[row] / np.sqrt((adapted[row] ** 2).sum())
                b = target[row] / np.sqrt((target[row] ** 2).sum())
                squares += float(((a - b) ** 2).sum())
            total += weight * squares**0.5
        assert found[name].item() == pytest.approx(total, rel=1e-9)


@pytest.mark.unit
def test_the_network_comes_nearer_to_both() -> None:
    method = tiny_method("simclr").train()
    strategy = pocon(method).train()
    assert not any(module.training for module in modules(strategy).modules())
    shake(method, 0.2)
    strategy.begin_phase(method, 1)
    trained = [*method.backbone.parameters(), *strategy.adapters.parameters()]
    optimizer = torch.optim.Adam(trained, 0.01)
    values: list[Tensor] = []
    for _ in range(30):
        optimizer.zero_grad()
        terms = strategy.terms(step(method, SECOND))
        values.append(torch.stack(list(terms.values())).detach())
        torch.stack(list(terms.values())).sum().backward()
        optimizer.step()
    assert (values[-1] < 0.8 * values[0]).all()
    assert all(parameter.grad is None for parameter in method.projector.parameters())


@pytest.mark.unit
def test_momentum_networks_begin_as_copies() -> None:
    method = tiny_method("byol").train()
    shake(method.backbone, 0.1)
    pocon(method)
    slow, fast = method.momentum_backbone, method.backbone
    assert isinstance(slow, nn.Module)
    assert all(torch.equal(slow.state_dict()[name], t) for name, t in fast.state_dict().items())


@pytest.mark.parametrize("method", ["simclr", "byol"])
def test_a_task_killed_in_each_phase_goes_on_to_the_same_bytes(
    method: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.set({"strategy": "pocon", "method": method})
    project.trained(2)
    whole = layout.state(2).read_bytes(), layout.log(2).read_bytes()
    timing = json.loads(layout.timing(2).read_text())
    # Two epochs of the expert and one of the consolidation.
    steps = timing["steps"]
    rows = read_csv(layout.log(2))
    assert [bool(row["ssl"]) for row in rows] == [True, True, False]
    assert [bool(row["past"]) for row in rows] == [False, False, True]
    assert timing["images_backward"] == 2 * 16 * steps
    monkeypatch.setenv("CASSLE_CHECKPOINT_SECONDS", "0")
    boundary = 2 * steps // 3
    for step in (1, boundary, boundary + 1):
        at_step(monkeypatch, step, kill)
        with pytest.raises(KilledError):
            project.cassle("train", "2")
    code, _, err = project.cassle("train", "2")
    assert code == 0, err
    assert (layout.state(2).read_bytes(), layout.log(2).read_bytes()) == whole


def test_a_budget_is_shared_by_the_phases_and_the_report_is_made(project: Project) -> None:
    project.set({"strategy": "pocon", "train.budget": 2 * 16 * 10})
    project.run_all(3)
    timing = json.loads(layout.timing(2).read_text())
    assert (timing["steps"], timing["images_backward"]) == (10, 2 * 16 * 10)
