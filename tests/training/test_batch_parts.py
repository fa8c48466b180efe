"""Accumulation, the meaning of train.batch_size, and rates that scale with it."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from pipeline import layout
from pipeline.artifacts.plans.train import TrainPlan
from pipeline.config.read import parse_params
from pipeline.config.resolve import resolve
from pipeline.data.batches import TaskOrder
from pipeline.training.learner import Learner
from tests.support.params import SHIPPED, Changes, with_changes
from tests.support.project import Project

PARTS = {"train.accumulate_grad_batches": 2}


@pytest.mark.parametrize("parts", [1, 2])
def test_the_processes_have_the_rows_of_one_between_them(parts: int) -> None:
    alone = list(TaskOrder(10, 4, 3, 0, 1, parts))
    shares = [list(TaskOrder(10, 4, 3, 0, 1, parts, rank, 2)) for rank in (0, 1)]
    assert len(alone) == len(shares[0]) == len(TaskOrder(10, 4, 3, 0, 1, parts)) == 6 * parts
    assert [first + second for first, second in zip(*shares, strict=True)] == alone
    whole = list(TaskOrder(10, 4, 3, 0, 1))
    assert [i for rows in alone for i in rows] == [i for rows in whole for i in rows]


def test_an_order_of_parts_goes_on_at_any_step() -> None:
    whole, rest = list(TaskOrder(10, 4, 3, 0, 1, 2)), TaskOrder(10, 4, 3, 0, 1, 2)
    rest.start = 3
    assert list(rest) == whole[6:]
    assert len(rest) == 6


def test_a_step_takes_the_mean_of_its_parts_gradients(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.set(PARTS | {"method": "mocov2plus", "methods.mocov2plus.queue_size": 40})
    sizes: list[int] = []
    gradients: list[list[Tensor]] = []
    steps = []
    step_of = Learner.training_step

    def training_step(self: Learner, images: Tensor, index: int) -> Tensor:
        loss = step_of(self, images, index)
        sizes.append(len(images))
        trained = [p for p in self.parameters() if p.requires_grad]
        gradients.append(list(torch.autograd.grad(loss, trained, retain_graph=True)))
        return loss

    def on_before_optimizer_step(self: Learner, optimizer: torch.optim.Optimizer) -> None:
        trained = [p for p in self.parameters() if p.requires_grad]
        for parameter, *parts in zip(trained, *gradients, strict=True):
            assert parameter.grad is not None
            torch.testing.assert_close(parameter.grad, torch.stack(parts).mean(dim=0))
        steps.append(len(gradients))
        gradients.clear()

    monkeypatch.setattr(Learner, "training_step", training_step)
    monkeypatch.setattr(
        Learner, "on_before_optimizer_step", on_before_optimizer_step, raising=False
    )
    project.train_through(1)
    assert sizes == [8] * 16
    assert steps == [2] * 8
    # The queue took the keys of both parts.
    state = load_file(layout.state(1))
    assert int(state["method.queue_pointer"]) == 8 * 16 % 40
    log = layout.log(1).read_text().splitlines()
    assert [line.split(",")[2] for line in log] == ["step", "4", "8"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train.devices": 3}, "train.batch_size is divided over devices 3 × num_nodes 1 × accumulate_grad_batches 1, so it must be a multiple of 3; got 16; use 15, say"),
        ({"train.num_nodes": 32}, "it must be a multiple of 32; got 16; use 32, say"),
        ({"train.accumulate_grad_batches": 16}, "train.accumulate_grad_batches must leave 2 or more images a part of batch_size (16), got 16"),
        ({"train.devices": 0}, "train.devices: input should be greater than or equal to 1, got 0"),
        ({"train.devices": "auto"}, "train.devices: input should be a valid integer, got 'auto'"),
        ({"train.sync_batchnorm": 1}, "train.sync_batchnorm: input should be a valid boolean"),
        ({"train.scale_learning_rate": "sqrt"}, "train.scale_learning_rate: input should be"),
    ],
)  # fmt: skip
def test_what_cannot_be_divided_is_one_clear_error(
    change: Changes, message: str, project: Project
) -> None:
    project.set(change)
    assert message in project.refuses("plan")


def plan_task_2(changes: Changes) -> TrainPlan:
    return resolve(parse_params(with_changes(SHIPPED, changes), "params")).train[2]


@pytest.mark.parametrize(
    ("changes", "retrains"),
    [
        ({"train.devices": 2}, False),
        ({"train.num_nodes": 2}, False),
        ({"train.sync_batchnorm": False}, False),
        ({"train.sync_batchnorm": False, "train.devices": 2}, True),
        ({"train.accumulate_grad_batches": 2}, True),
        ({"train.scale_learning_rate": "linear"}, True),
        ({"train.scale_learning_rate": "linear", "train.batch_size": 256}, True),
    ],
)  # fmt: skip
def test_what_does_not_shape_a_result_beyond_rounding_does_not_train_again(
    changes: Changes, retrains: bool
) -> None:
    assert (plan_task_2({}) != plan_task_2(changes)) is retrains


def test_linear_rates_are_for_256_images() -> None:
    changes = {"train.warmup_start": 0.004, "train.final_learning_rate": 0.002}
    linear = {"train.scale_learning_rate": "linear"}

    def rates(changes: Changes) -> list[float]:
        train = plan_task_2(changes).train
        assert not hasattr(train, "scale_learning_rate")
        return [train.learning_rate, train.warmup_start, train.final_learning_rate]

    assert rates(changes) == [0.02, 0.004, 0.002]
    assert rates(changes | linear) == [0.01, 0.002, 0.001]
    assert rates(changes | linear | {"train.batch_size": 256}) == [0.02, 0.004, 0.002]
