"""Parameters that no schedule moves: SimSiam's predictor, and none of other methods."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from pipeline.config.registry.methods import METHODS
from pipeline.data.augmentation.augment import Augment
from pipeline.methods.base import Method
from pipeline.strategies.finetune import Finetune
from pipeline.training.learner import Learner
from pipeline.training.optim import Optimization, build_optimizer
from pipeline.training.optimizers.lars import LARS
from pipeline.training.optimizers.sgd import SGD
from pipeline.training.task_steps import TaskSteps
from tests.support.networks import tiny_method

PEAK = 0.4


def optimization(exclude: bool = True) -> Optimization:
    return Optimization(
        SGD,
        PEAK,
        weight_decay=0.5,
        exclude_norms_and_biases=exclude,
        epochs=5,
        warmup_epochs=1,
        warmup_start=0.1,
        final_learning_rate=0.01,
    )


def rates(method: Method, exclude: bool = True) -> dict[str, list[float]]:
    """Return the rate of each parameter at each step of a task of ten steps."""
    augment = Augment((), 8, [0.5], [0.25])
    learner = Learner(method, Finetune(), augment, optimization(exclude), TaskSteps([10], 2), 0, 1)
    made: Any = learner.configure_optimizers()
    names = {id(parameter): name for name, parameter in method.named_parameters()}
    found: dict[str, list[float]] = {name: [] for name in names.values()}
    for _ in range(10):
        for group in made["optimizer"].param_groups:
            for parameter in group["params"]:
                found[names[id(parameter)]].append(group["lr"])
        made["optimizer"].step()
        made["lr_scheduler"]["scheduler"].step()
    return found


@pytest.mark.parametrize("exclude", [True, False])
def test_the_rate_of_simsiams_predictor_is_the_peak_at_every_step(exclude: bool) -> None:
    found = rates(tiny_method("simsiam", constant_predictor_rate=True), exclude)
    moved = found["projector.0.0.weight"]
    assert moved[0] < moved[1] == PEAK > moved[3] > moved[9]
    for name, each in found.items():
        assert each == ([PEAK] * 10 if name.startswith("predictor.") else moved), name


@pytest.mark.parametrize("name", METHODS)
def test_all_else_follows_the_schedule(name: str) -> None:
    changes = {"constant_predictor_rate": False} if name == "simsiam" else {}
    found = rates(tiny_method(name, **changes))
    (moved,) = {tuple(each) for each in found.values() if each}
    assert moved[1] == PEAK > moved[9]


def test_groups_at_a_constant_rate_leave_out_what_others_do() -> None:
    method = tiny_method("simsiam", constant_predictor_rate=True)
    constant = method.parameters_at_constant_rate()
    groups = build_optimizer([method], optimization(), constant).param_groups
    held = [parameter for group in groups for parameter in group["params"]]
    trainable = list(method.parameters())
    assert {id(p) for p in held} == {id(p) for p in trainable}
    assert len(held) == len(trainable)
    seen = [(g.get("constant_rate", False), g["weight_decay"]) for g in groups]
    assert seen == [(False, 0.5), (False, 0), (True, 0.5), (True, 0)]
    for group in groups:
        assert {p.ndim > 1 for p in group["params"]} == {group["weight_decay"] > 0}
        ours = {id(p) for p in group["params"]} <= {id(p) for p in constant}
        assert ours == group.get("constant_rate", False)


def test_lars_leaves_norms_and_biases_out_at_a_constant_rate_too() -> None:
    method = tiny_method("simsiam", constant_predictor_rate=True)
    factory = partial(LARS, trust_coefficient=0.02, clip=True)
    options = replace(optimization(), optimizer=factory)
    groups = build_optimizer([method], options, method.parameters_at_constant_rate()).param_groups
    assert [group["adaptive"] for group in groups] == [True, False, True, False]
    assert {group["lr"] for group in groups} == {PEAK}
