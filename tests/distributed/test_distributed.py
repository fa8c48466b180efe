"""Losses and gradients over two processes are those of one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, distributed, multiprocessing, nn

from pipeline.config.registry.methods import METHODS
from pipeline.distributed.collectives import gather_rows
from pipeline.distributed.sync_batchnorm import synchronize_batchnorm
from pipeline.methods.base import Position
from pipeline.strategies.base import Step
from tests.support.networks import tiny_cassle, tiny_method, tiny_views

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


def work(rank: int, folder: str) -> None:
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=PROCESSES
    )
    torch.set_num_threads(1)
    for name in METHODS:
        for batch_norm in BATCH_NORMS:
            result = train(name, rank, PROCESSES, batch_norm)
            save_file(result, f"{folder}/{name}_{batch_norm}_{rank}.safetensors")
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
