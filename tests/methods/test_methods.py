"""What holds for every method, through the contract alone."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from safetensors.torch import load_file
from torch import Tensor

from pipeline import layout
from pipeline.config.registry.methods import METHODS
from pipeline.errors import StateError
from pipeline.files.csv_tables import read_csv
from pipeline.methods.base import Method, Position
from pipeline.methods.momentum import MomentumMethod
from pipeline.models.loading import load_module
from pipeline.strategies.base import Step
from pipeline.strategies.cassle import Cassle
from pipeline.training.learner import Learner
from tests.support.networks import parts_of_state, tiny_cassle, tiny_method, tiny_views
from tests.support.params import Changes
from tests.support.project import Project

START = Position(0, 4, 40)
every_method = pytest.mark.parametrize("name", METHODS)


def step_of(method: Method, count: int = 6) -> Step:
    views = tiny_views(count)
    return Step(method, views, method.encode(views), START)


@every_method
def test_the_loss_trains_the_backbone_the_projector_and_all_else(name: str) -> None:
    method = tiny_method(name)
    step = step_of(method)
    loss = method.loss(step.views, step.encoded)
    assert loss.shape == ()
    torch.autograd.backward(loss)
    for key, parameter in method.named_parameters():
        if key.startswith("momentum_"):
            assert not parameter.requires_grad, key
        else:
            assert parameter.grad is not None, key
            assert parameter.grad.isfinite().all(), key
    assert any(p.grad.abs().sum() > 0 for p in method.backbone.parameters() if p.grad is not None)


@every_method
def test_distillation_trains_the_network_and_the_distiller_but_not_the_teacher(name: str) -> None:
    method = tiny_method(name)
    strategy = tiny_cassle(method, teacher_batchnorm="batch").train()
    assert strategy.teacher is not None
    before = copy.deepcopy(strategy.teacher.state_dict())
    terms = strategy.terms(step_of(method))
    assert list(terms) == ["distill"]
    torch.autograd.backward(terms["distill"])
    reached = [p.grad is not None for p in strategy.distiller.parameters()]
    assert reached
    assert all(reached)
    for module in (method.backbone, method.projector):
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters())
    assert all(p.grad is None for p in strategy.teacher.parameters())
    after = strategy.teacher.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())


@every_method
def test_the_frozen_network_holds_all_that_the_distillation_needs_and_no_more(name: str) -> None:
    method = tiny_method(name)
    teacher = tiny_cassle(method).teacher
    assert isinstance(teacher, Method)
    views = tiny_views(6)
    with torch.no_grad():
        past = [teacher.distill_target(z) for z in teacher.encode(views).projections]
        whole = copy.deepcopy(method).eval()
        expected = [whole.distill_target(z) for z in whole.encode(views).projections]
    assert all(torch.equal(here, there) for here, there in zip(past, expected, strict=True))
    assert set(method.loss_only) <= set(
        dict(method.named_children()) | dict(method.named_buffers())
    )
    left = {name.partition(".")[0] for name in teacher.state_dict()}
    assert left == parts_of_state(method) - set(method.loss_only)
    if isinstance(method, MomentumMethod):
        held, all_of_it = (
            sum(t.numel() for t in m.state_dict().values()) for m in (teacher, method)
        )
        assert held <= all_of_it / 2


@every_method
def test_losses_and_distillation_are_float32_in_mixed_precision(name: str) -> None:
    method = tiny_method(name).eval()
    strategy = tiny_cassle(method).eval()
    losses: dict[bool, tuple[Tensor, Tensor]] = {}
    for half in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            step = step_of(copy.deepcopy(method), 16)
            assert step.encoded.features[0].dtype == torch.float32 or half
            ssl = step.method.loss(step.views, step.encoded)
            losses[half] = (ssl, strategy.terms(step)["distill"])
    for wide, narrow in zip(losses[False], losses[True], strict=True):
        assert narrow.dtype == torch.float32
        # What differs is the network in bfloat16 (8 bits), not the loss.
        assert narrow.item() == pytest.approx(wide.item(), rel=0.05, abs=0.05)


@every_method
@pytest.mark.parametrize("count", [2, 3, 25])
def test_batches_of_any_size_give_finite_losses_and_gradients(name: str, count: int) -> None:
    # 25 is larger than both queues (10), 3 divides neither, and both are below 5 prototypes.
    method = tiny_method(name)
    strategy = tiny_cassle(method)
    for number in range(5):
        views = tiny_views(count, number)
        step = Step(method, views, method.encode(views), START)
        loss = method.loss(views, step.encoded) + strategy.terms(step)["distill"]
        method.zero_grad()
        torch.autograd.backward(loss)
        method.after_step(Position(number + 1, 5, 5))
        assert loss.isfinite()
        assert all(p.grad.isfinite().all() for p in method.parameters() if p.grad is not None)
    assert all(value.isfinite().all() for value in method.state_dict().values())


@every_method
def test_a_loss_alone_leaves_the_method_as_it_was(name: str) -> None:
    method = tiny_method(name).eval()
    before = copy.deepcopy(dict(method.named_buffers()) | dict(method.named_parameters()))
    step = step_of(method)
    first = method.loss(step.views, step.encoded)
    second = method.loss(step.views, step.encoded)
    assert first.item() == second.item()
    after = dict(method.named_buffers()) | dict(method.named_parameters())
    assert all(torch.equal(after[key], value) for key, value in before.items())


@every_method
def test_a_state_without_one_of_the_tensors_is_refused(name: str) -> None:
    tensors = tiny_method(name).state_dict()
    for key in tensors:
        rest = {other: value for other, value in tensors.items() if other != key}
        with pytest.raises(StateError, match=key.rpartition(".")[2]):
            load_module(tiny_method(name), rest, Path("task_1.safetensors"))


# Three tasks through the command line.


@pytest.fixture
def project(project: Project) -> Project:
    project.set(
        {
            "methods.mocov2plus.queue_size": 40,
            "methods.swav.queue_size": 40,
            "methods.swav.queue_start_epoch": 0,
        }
    )
    return project


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[Learner]:
    """Copies of what each task began its training with."""
    learners: list[Learner] = []
    fit = pl.Trainer.fit

    def recording(trainer: pl.Trainer, learner: Learner, *arguments: object) -> None:
        learners.append(copy.deepcopy(learner))
        fit(trainer, learner, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(pl.Trainer, "fit", recording)
    return learners


def choose(project: Project, name: str) -> None:
    project.set({"method": name})


@every_method
def test_three_tasks_run_and_nothing_is_lost_between_them(
    name: str, project: Project, begun: list[Learner]
) -> None:
    choose(project, name)
    project.train_through(3)
    for task in (1, 2):
        saved = load_file(layout.state(task))
        method = begun[task].method
        carried = {f"method.{key}": value for key, value in method.state_dict().items()}
        strategy = begun[task].strategy
        assert isinstance(strategy, Cassle)
        if task == 2:
            distiller = strategy.distiller.state_dict()
            carried |= {f"strategy.{key}": value for key, value in distiller.items()}
        assert saved.keys() == carried.keys()
        assert all(torch.equal(saved[key], value) for key, value in carried.items())
    first, last = load_file(layout.state(1)), load_file(layout.state(3))
    moved = [key for key in first if not torch.equal(first[key], last[key])]
    # All of it lives on: networks, statistics, queues, prototypes.
    assert set(first) - set(moved) <= {"method.queue_pointer"}
    rows = [row for task in (1, 2, 3) for row in read_csv(layout.log(task))]
    assert all(float(row["projection_std"]) > 0 for row in rows)
    assert all(float(row["projection_rank"]) >= 1 for row in rows)


@every_method
def test_a_state_holds_the_statistics_of_batchnorm(name: str) -> None:
    assert any("running_mean" in key for key in tiny_method(name).state_dict())


@every_method
def test_every_method_has_a_test_file_of_its_name(name: str) -> None:
    assert (Path(__file__).parent / f"test_{name}.py").is_file()


def test_swav_starts_each_task_with_an_empty_queue(project: Project, begun: list[Learner]) -> None:
    choose(project, "swav")
    project.train_through(2)
    queues = [dict(learner.method.named_buffers())["queue"] for learner in begun]
    assert [queue.abs().sum().item() for queue in queues] == [0, 0]


@pytest.mark.parametrize("name", ["byol", "mocov2plus"])
def test_momentum_networks_begin_as_copies_of_the_random_network(
    name: str, project: Project, begun: list[Learner]
) -> None:
    choose(project, name)
    project.train_through(1)
    random_network = load_file(layout.state(0))
    method = begun[0].method.state_dict()
    for key, value in random_network.items():
        own = key.removeprefix("method.")
        assert torch.equal(method[own], value)
        assert torch.equal(method[f"momentum_{own}"], value)


@pytest.mark.parametrize("carry", [True, False])
def test_the_distillation_goes_on_or_starts_anew_with_its_prototypes(
    carry: bool, project: Project, begun: list[Learner]
) -> None:
    choose(project, "swav")
    project.set({"strategies.cassle.carry_predictor": carry})
    project.train_through(3)
    saved = load_file(layout.state(2))
    strategy = begun[2].strategy
    assert isinstance(strategy, Cassle)
    names = {f"strategy.{key}" for key in strategy.distiller.state_dict()}
    assert "strategy.head.weight" in names
    assert names & saved.keys() == (names if carry else set())


@every_method
def test_finetune_and_cassle_share_the_first_task(name: str, project: Project) -> None:
    choose(project, name)
    project.train_through(1)
    first = layout.state(1).read_bytes()
    project.set({"strategy": "finetune"})
    project.train_through(2)
    assert layout.state(1).read_bytes() == first
    assert not [key for key in load_file(layout.state(2)) if key.startswith("strategy.")]


def lines(error: str) -> list[str]:
    return [line for line in error.splitlines() if line.startswith("error: ")]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train.batch_size": 1}, "train.batch_size"),
        ({"train.batch_size": 100}, "fewer than train.batch_size"),
        ({"methods.mocov2plus.queue_size": 0}, "methods.mocov2plus.queue_size"),
        ({"methods.swav.num_prototypes": 1}, "methods.swav.num_prototypes"),
        ({"methods.byol.final_momentum": 1.5}, "methods.byol.final_momentum"),
        (
            {"train.optimizer": "lamb"},
            "train.optimizer: 'lamb' is unknown; one of: adamw, sgd, lars",
        ),
        ({"train.warmup_start": 0.5}, "train.warmup_start must be at most"),
    ],
)
def test_options_that_cannot_work_are_one_clear_error(
    changes: Changes, message: str, project: Project
) -> None:
    project.set(changes)
    code, err = 0, ""
    for stage in ("plan", "prepare", "init", "train"):
        code, _, err = project.cassle(*([stage, "1"] if stage == "train" else [stage]))
        if code:
            break
    assert code == 2
    assert len(lines(err)) == 1
    assert message in err
    assert "Traceback" not in err


def test_lars_without_its_options_is_one_clear_error(project: Project) -> None:
    project.set({"train.optimizer": "lars"})
    project.must("plan")
    slot = json.loads(layout.plan("train_1").read_text())
    assert slot["train"]["optimizer"] == {
        "name": "lars",
        "path": "pipeline.training.optimizers.lars:LARS",
        "options": {"trust_coefficient": 0.02, "clip": True},
    }
    project.remove("train.lars")
    code, _, err = project.cassle("check")
    assert code == 2
    assert "train.lars is missing; add its options: trust_coefficient, clip" in err


def test_only_the_options_in_use_are_in_the_plan(project: Project) -> None:
    project.must("plan")
    before = layout.plan("train_2").read_bytes()
    project.set(
        {
            "train.lars.trust_coefficient": 0.5,
            "methods.swav.num_prototypes": 7,
            "methods.mocov2plus.final_momentum": 0.5,
        }
    )
    project.must("plan")
    assert layout.plan("train_2").read_bytes() == before


def with_lars(project: Project) -> None:
    project.set({"train.optimizer": "lars"})


@pytest.mark.parametrize("prepare", [with_lars])
def test_a_task_trains_with_lars(prepare: Callable[[Project], None], project: Project) -> None:
    prepare(project)
    project.train_through(1)
    rows = read_csv(layout.log(1))
    assert all(float(row["loss"]) > 0 for row in rows)
