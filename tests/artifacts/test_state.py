"""States: of which run they are is in their header, and another run's are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pipeline import layout
from pipeline.artifacts.plans.files import plan_digest, plan_text
from pipeline.artifacts.plans.parts import BackbonePlan
from pipeline.artifacts.plans.train import TrainPlan
from pipeline.artifacts.remedy import name_remedy
from pipeline.artifacts.state import (
    METHOD,
    STRATEGY,
    Origin,
    State,
    read_origin,
    read_state,
    write_state,
)
from pipeline.config.read import parse_params
from pipeline.config.resolve import Plans, resolve
from pipeline.errors import StateError
from pipeline.files.atomic import write_text
from pipeline.stages import init, train_outputs
from tests.support.params import SHIPPED

SPLIT = "ab" * 32


@pytest.fixture
def plans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plans:
    """The plans of the shipped params, in a folder of their own."""
    monkeypatch.chdir(tmp_path)
    found = resolve(parse_params(SHIPPED, "params"))
    for name, plan in found.by_file().items():
        write_text(layout.plan(name), plan_text(plan))
    return found


def network(value: float) -> dict[str, dict[str, Tensor]]:
    return {METHOD: {"backbone.a": torch.full((2,), value)}, STRATEGY: {"b": torch.ones(1)}}


def write_chain(plans: Plans, last: int) -> list[State]:
    """Write states 0 to ``last`` and return them."""
    write_state(network(0.0), init.describe_origin(plans.init))
    states = [read_state(0, plan_digest(plans.init), plans.init.backbone)]
    for task in range(1, last + 1):
        plan = plans.train[task]
        write_state(
            network(float(task)), train_outputs.describe_origin(plan, states[-1], f"{SPLIT}{task}")
        )
        states.append(read(plan))
    return states


def read(plan: TrainPlan, /, **changes: object) -> State:
    given: dict[str, object] = {
        "task": plan.task,
        "plan": plan_digest(plan),
        "backbone": plan.backbone,
        "method": plan.method.name,
    }
    return read_state(**(given | changes), need_splits=False)  # type: ignore[arg-type]


@pytest.mark.pipeline
def test_a_state_names_the_whole_chain_it_comes_from(plans: Plans) -> None:
    states = write_chain(plans, 3)
    for task, state in enumerate(states):
        assert list(state.origin.ancestors) == [each.content for each in states[:task]]
        assert list(state.origin.task_order) == [f"{SPLIT}{n}" for n in range(1, task + 1)]
        assert state.origin.parent == (states[task - 1].content if task else None)
        assert read_origin(task) == (state.origin, state.content)
    assert len({state.content for state in states}) == 4


def test_the_origin_comes_back_as_it_was_written(plans: Plans) -> None:
    states = write_chain(plans, 2)
    origin = states[2].origin
    assert origin.strategy == "cassle"
    assert states[1].origin.strategy is None
    assert (origin.method, origin.seed, origin.code) == ("simclr", 0, plans.train[2].code)
    assert origin.backbone.name == "small_resnet"


def test_a_section_is_the_tensors_below_a_name() -> None:
    held = {"method.a": torch.ones(1), "method.b.c": torch.ones(2), "methodical": torch.ones(3)}
    origin = Origin(0, "", 0, "", BackbonePlan("", "", 1, ""), [], [])
    state = State(held, "", origin)
    assert {name: len(tensor) for name, tensor in state.section("method").items()} == {
        "a": 1,
        "b.c": 2,
    }
    assert state.section("strategy") == {}


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"plan": "cd" * 32}, "set of params"),
        ({"backbone": BackbonePlan("resnet18", "", 1, "conv3")}, "backbone"),
        ({"method": "byol"}, "method"),
    ],
)
def test_a_state_of_another_origin_is_refused(
    change: dict[str, object], name: str, plans: Plans
) -> None:
    write_chain(plans, 1)
    with pytest.raises(StateError) as caught:
        read(plans.train[1], **change)
    assert f"{layout.state(1)} has another {name} than the plan: got " in str(caught.value)
    assert str(caught.value).endswith(name_remedy("cassle train 1"))


def test_a_state_of_another_task_is_refused(plans: Plans) -> None:
    write_chain(plans, 2)
    layout.state(1).write_bytes(layout.state(2).read_bytes())
    with pytest.raises(StateError, match="has another task than the plan: got 2, expected 1"):
        read(plans.train[1])


def test_what_differs_is_named_before_the_digest(plans: Plans) -> None:
    write_chain(plans, 2)
    other = replace(plans.train[2], seed=7)
    write_text(layout.plan("train_2"), plan_text(other))
    with pytest.raises(StateError, match="has another seed than the plan: got 0, expected 7"):
        read(other)


def test_a_state_whose_splits_are_needed_and_gone_is_refused(plans: Plans) -> None:
    write_chain(plans, 1)
    plan = plans.train[1]
    with pytest.raises(StateError, match="has another split than the plan"):
        read_state(1, plan_digest(plan), plan.backbone)


def test_a_missing_state_is_named_with_its_remedy(plans: Plans) -> None:
    with pytest.raises(StateError) as caught:
        read_state(0, plan_digest(plans.init), plans.init.backbone)
    assert str(caught.value) == (f"{layout.state(0)} is missing; {name_remedy('cassle init')}")
