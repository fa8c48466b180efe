"""Losses and gradients over two processes are those of one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, distributed, multiprocessing, nn

from pipeline.config.registry.methods import METHODS
from pipeline.distributed.collectives import gather_rows, own_rows
from pipeline.distributed.sync_batchnorm import synchronize_batchnorm
from pipeline.methods.base import Position
from pipeline.strategies.base import Step
from pipeline.strategies.cla_e import CLAE
from pipeline.strategies.cla_r import CLAR
from pipeline.strategies.composite import Composite
from pipeline.strategies.er import ExperienceReplay
from tests.support.networks import (
    streams,
    task_start,
    tiny_cassle,
    tiny_images,
    tiny_method,
    tiny_views,
)

PROCESSES = 2
BATCH = 8
STEPS = 4
BATCH_NORMS = ("stored", "batch")


def train(name: str, rank: int, processes: int, batch_norm: str) -> dict[str, Tensor]:
    """Train on this process's part of each batch, with gradients averaged over processes.

    Returns the last step's gradients and all that the method holds after it.

    Args:
        name: of the method.
        rank: of this process.
        processes: how many there are.
        batch_norm: ``stored`` statistics, or those of the ``batch``, synchronised, of the
            frozen network too.
    """
    method = tiny_method(name).double()
    if batch_norm == "batch" and processes > 1:
        synchronize_batchnorm(method)
    kind = "running" if batch_norm == "stored" else "batch"
    strategy = tiny_cassle(method, teacher_batchnorm=kind).double()
    if batch_norm == "stored":
        method.eval()
        strategy.eval()
    elif processes > 1:
        synchronize_batchnorm(strategy)
    modules = nn.ModuleDict({"method": method, "strategy": strategy})
    trained = {n: p for n, p in modules.named_parameters() if p.requires_grad}
    with torch.no_grad():
        # Away from the teacher, where the distillation would have no gradient at first.
        for number, parameter in enumerate(trained.values()):
            generator = torch.Generator().manual_seed(number)
            noise = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
            parameter.add_(0.05 * noise)
    optimizer = torch.optim.SGD(trained.values(), lr=0.1)
    for step in range(STEPS):
        at = Position(step, 1, STEPS)
        views = tuple(view.double().chunk(processes)[rank] for view in tiny_views(BATCH, step))
        encoded = method.encode(views)
        terms = strategy.terms(Step(method, views, encoded, at))
        loss = method.loss(views, encoded) + terms["distill"]
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        for parameter in trained.values():
            if processes > 1 and parameter.grad is not None:
                distributed.all_reduce(parameter.grad)
                parameter.grad /= processes
        method.after_backward(at)
        optimizer.step()
        method.after_step(Position(step + 1, 1, STEPS))
    result = {f"gradient {n}": p.grad for n, p in trained.items() if p.grad is not None}
    result |= {n: p.detach() for n, p in modules.named_parameters()}
    result |= dict(modules.named_buffers())
    return {n: value.clone() for n, value in result.items()}


def replay(rank: int, processes: int) -> dict[str, Tensor]:
    """Train with memories that fill, as ``train`` does; return all that is held in the end."""
    method = tiny_method("simclr").double().train()
    options = {"memory_size": 20, "batch_share": 0.5}
    aligning = options | {"weight": 1.0, "aligner_hidden": 8}
    strategy = Composite(
        {
            "er": ExperienceReplay(memory="minred", **options),
            "cla_e": CLAE(memory="fifo", **aligning, momentum=0.9),
            "cla_r": CLAR(memory="reservoir", **aligning),
        }
    )

    def augment(batch: Tensor, stream: torch.Generator) -> tuple[Tensor, ...]:
        noise = torch.rand(2, len(batch) * processes, *batch.shape[1:], generator=stream)
        return tuple((batch / 255 + own_rows(each)).double() for each in noise)

    torch.manual_seed(0)
    start = task_start(method, tiny_images(0), task=1, batch_size=BATCH, online=True)
    normalize = lambda batch: batch.double() / 255  # noqa: E731
    strategy.begin_task(replace(start, augment=augment, normalize=normalize))
    strategy.double().train()
    if processes > 1:
        synchronize_batchnorm(method)
        synchronize_batchnorm(strategy)
    modules = nn.ModuleDict({"method": method, "strategy": strategy})
    optimizer = torch.optim.SGD([p for p in modules.parameters() if p.requires_grad], lr=0.1)
    for step in range(3 * STEPS):
        at = Position(step, 1, 3 * STEPS, minibatches=STEPS)
        images = own_rows(tiny_images(BATCH, step // 3))
        strategy.observe(images, at)
        views = strategy.mix(augment(images, streams("views", step)), at)
        now = Step(method, views, method.encode(views), at)
        loss = torch.stack([method.loss(views, now.encoded), *strategy.terms(now).values()]).sum()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        for parameter in modules.parameters():
            if processes > 1 and parameter.requires_grad:
                assert parameter.grad is not None, "data-parallel training would wait for it"
                distributed.all_reduce(parameter.grad)
                parameter.grad /= processes
        optimizer.step()
        with torch.no_grad():
            strategy.after_step(method, Position(step + 1, 1, 3 * STEPS, minibatches=STEPS))
    return {n: value.detach().clone() for n, value in modules.state_dict().items()}


def work(rank: int, folder: str) -> None:
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=PROCESSES
    )
    torch.set_num_threads(1)
    for name in METHODS:
        for batch_norm in BATCH_NORMS:
            result = train(name, rank, PROCESSES, batch_norm)
            save_file(result, f"{folder}/{name}_{batch_norm}_{rank}.safetensors")
    save_file(replay(rank, PROCESSES), f"{folder}/replay_{rank}.safetensors")
    local = torch.arange(6.0).reshape(2, 3) + 10 * rank
    local.requires_grad_()
    everything = gather_rows(local)
    weights = torch.arange(12.0).reshape(4, 3) * (rank + 1)
    torch.autograd.backward((everything * weights).sum())
    assert local.grad is not None
    save_file(
        {"everything": everything.detach().clone(), "gradient": local.grad},
        f"{folder}/gather_{rank}.safetensors",
    )
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files that two processes wrote, each of which had half of every batch."""
    folder = tmp_path_factory.mktemp("processes")
    multiprocessing.spawn(work, (str(folder),), nprocs=PROCESSES)
    return folder


@pytest.mark.parametrize("batch_norm", BATCH_NORMS)
@pytest.mark.parametrize("name", METHODS)
def test_two_processes_with_half_the_batch_are_one_with_all_of_it(
    name: str, batch_norm: str, together: Path
) -> None:
    alone = train(name, 0, 1, batch_norm)
    assert any(n.startswith("gradient method.backbone") for n in alone)
    assert any(n.startswith("gradient strategy.distiller") for n in alone)
    for rank in range(PROCESSES):
        shared = load_file(together / f"{name}_{batch_norm}_{rank}.safetensors")
        assert shared.keys() == alone.keys()
        for key, expected in alone.items():
            torch.testing.assert_close(shared[key], expected, rtol=1e-8, atol=1e-10, msg=key)


def test_two_processes_hold_the_memories_of_one(together: Path) -> None:
    alone = replay(0, 1)
    first, second = (
        load_file(together / f"replay_{rank}.safetensors") for rank in range(PROCESSES)
    )
    assert first.keys() == second.keys() == alone.keys()
    for key, expected in alone.items():
        assert torch.equal(first[key], second[key]), key
        # Targets and features are stored in float32.
        torch.testing.assert_close(first[key], expected, rtol=1e-5, atol=1e-6, msg=key)


def test_gathering_keeps_the_ranks_order_and_sums_the_gradients(together: Path) -> None:
    local = torch.arange(6.0).reshape(2, 3)
    weights = 3 * torch.arange(12.0).reshape(4, 3)
    for rank in range(PROCESSES):
        found = load_file(together / f"gather_{rank}.safetensors")
        assert torch.equal(found["everything"], torch.cat([local, local + 10]))
        assert torch.equal(found["gradient"], weights[2 * rank : 2 * rank + 2])


def test_one_process_alone_gathers_nothing() -> None:
    local = torch.ones(2, 3)
    assert gather_rows(local) is local
