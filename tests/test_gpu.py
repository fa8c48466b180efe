"""What only a GPU can show. Skipped where there is none."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import nn

from benchmarks.workloads import build
from pipeline import layout
from pipeline.building.components import load_class
from pipeline.commands.step_times import time_steps
from pipeline.config.read import load_params
from pipeline.config.registry.methods import METHODS
from pipeline.config.resolve import resolve
from pipeline.evaluation.base import FeatureProbe
from pipeline.runtime.device import Device, send
from pipeline.training.fit import make_deterministic
from pipeline.training.optimizers.lars import LARS
from tests.support.project import Project

pytestmark = [
    pytest.mark.pipeline,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
]


@contextmanager
def waiting_is_an_error() -> Iterator[None]:
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_every_objective_and_its_distillation_train(
    method: str, precision: str, project: Project
) -> None:
    project.set({"method": method, "strategy": "cassle", "train.precision": precision})
    plan = resolve(load_params(layout.PARAMS)).train[2]
    found = time_steps(plan, 200, steps=2, warm_up=1, device=Device.cuda)
    assert found.precision == precision
    assert found.seconds > 0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("strategy", ["finetune", "cassle", "pfr", "less_forget"])
def test_a_step_never_waits_for_the_gpu(method: str, strategy: str, project: Project) -> None:
    project.set({"method": method, "strategy": strategy, "train.precision": "bf16-mixed"})
    plans = resolve(load_params(layout.PARAMS))
    load = build(plans.train[2], plans.prepare.dataset, "cuda")
    step = load.bare()
    step()
    torch.cuda.synchronize()
    with waiting_is_an_error():
        step()


def test_views_are_those_of_the_cpu(project: Project) -> None:
    plans = resolve(load_params(layout.PARAMS))
    load = build(plans.train[2], plans.prepare.dataset, "cpu")
    images = load.images[:16]
    here = load.augment(images, torch.Generator().manual_seed(0))
    there = load.augment(send(images, torch.device("cuda")), torch.Generator().manual_seed(0))
    for one, other in zip(here, there, strict=True):
        torch.testing.assert_close(one, other.cpu(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("probe", ["linear", "solver"])
def test_probes_score_as_on_the_cpu(probe: str, project: Project) -> None:
    plan = resolve(load_params(layout.PARAMS)).evaluate
    path, options = next((p.path, p.options) for p in plan.probes if p.name == probe)
    train = torch.randn(300, 16, generator=torch.Generator().manual_seed(0))
    labels = train[:, :5].argmax(1)

    def score(device: str) -> torch.Tensor:
        make_deterministic(Device(device))
        found = load_class(path, FeatureProbe)(**options).scores(
            train.to(device), labels.to(device), train.to(device), 5, torch.Generator()
        )
        return found.cpu()

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # an operation that is not deterministic warns
        torch.testing.assert_close(score("cuda"), score("cpu"), rtol=1e-3, atol=1e-3)


def test_lars_moves_weights_as_on_the_cpu() -> None:
    def take_steps(network: nn.Module) -> list[torch.Tensor]:
        options = {"momentum": 0.9, "weight_decay": 1e-4, "trust_coefficient": 0.02, "clip": True}
        groups = [{"params": list(network.parameters()), "adaptive": True}]
        optimizer = LARS(groups, lr=0.3, **options)
        for _ in range(3):
            for parameter in network.parameters():
                parameter.grad = parameter.detach().cos()
            optimizer.step()
        return [parameter.detach().cpu() for parameter in network.parameters()]

    network = nn.Sequential(nn.Linear(8, 16), nn.Linear(16, 4))
    there = copy.deepcopy(network).cuda()
    for one, other in zip(take_steps(network), take_steps(there), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
