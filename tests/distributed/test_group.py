"""The process group: who cannot join it, who has lost another one, and how a failed process ends."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
from pytorch_lightning.strategies import DDPStrategy
from torch import distributed

from pipeline.distributed import group
from pipeline.distributed.group import Group, join_group
from pipeline.distributed.launch import run_together
from pipeline.distributed.processes import Launcher, Processes
from pipeline.errors import PeerFailedError, RunError
from pipeline.models.small_resnet import SmallResNet
from pipeline.runtime.device import Device
from pipeline.stages.train_task import agree_on_precision
from pipeline.training.fit import _DataParallel
from tests.support.params import ROOT

NCCL = """NCCL error in: /pytorch/NCCLUtils.cpp:94, invalid usage (run with NCCL_DEBUG=WARN for details)
ncclInvalidUsage: This usually reflects invalid usage of NCCL library.
Last error:
{}"""
DUPLICATE = NCCL.format("Duplicate GPU detected : rank 1 and rank 0 both on CUDA device 1000")
MEMORY = NCCL.format("Cuda failure 2 'out of memory'")
SECOND_OF_TWO = Processes(1, 1, 2, Launcher.command)
# A training of two processes. To leave the group waits for ever, as with NCCL where a process is
# stuck in a kernel, and so does what stands for the destructor of NCCL's group.
TRAINING = """
import atexit, os, sys, time
sys.path.insert(0, {root!r})
import torch
from torch import distributed
from pipeline.cli import main as cli
from pipeline.distributed.group import join_group
from pipeline.distributed.processes import read_processes
from pipeline.errors import DataError
from pipeline.runtime.device import Device
from pipeline.runtime.shortages import explain_out_of_memory
distributed.destroy_process_group = lambda: time.sleep(600)
atexit.register(time.sleep, 600)
def command():
    processes = read_processes()
    with explain_out_of_memory("task 1", "try less"), join_group(processes, Device.cpu, 2) as group:
        group.max_over_ranks(1)
        if {everywhere} or processes.rank == 1:
            raise {error}
        group.max_over_ranks(1)
cli.main(command)
"""


def end_of_training(error: str, *, everywhere: bool = False) -> int:
    """Return the exit code of a training in which a process, or each, raises an error."""
    code = TRAINING.format(root=str(ROOT), error=error, everywhere=everywhere)
    started = time.monotonic()
    try:
        return run_together([sys.executable, "-c", code], 2)
    finally:
        assert time.monotonic() - started < 200


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        ("DataError('own.png is damaged')", 2, "error: own.png is damaged\n"),
        (f"distributed.DistBackendError({MEMORY!r})", 2, "error: task 1: out of memory (Cuda failure 2 'out of memory'); try less\n"),
        ("KeyError('a defect')", 1, "KeyError: 'a defect'\n"),
    ],
)  # fmt: skip
def test_a_process_that_fails_alone_says_why_and_ends_whatever_the_others_do(
    error: str, code: int, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert end_of_training(error) == code
    err = capfd.readouterr().err
    assert err.endswith(said), err
    assert err == said or "Traceback" in err


def test_an_error_of_nccl_in_all_processes_is_said_once(capfd: pytest.CaptureFixture[str]) -> None:
    remote = NCCL.format("socketProgress: Connection closed by remote peer")
    with pytest.raises(RunError, match=r"lost each other.*socketProgress: Connection closed"):
        end_of_training(f"distributed.DistBackendError({remote!r})", everywhere=True)
    assert capfd.readouterr().err == ""


def test_ranks_that_cannot_meet_say_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **named: object) -> None:
        raise distributed.DistBackendError(DUPLICATE)

    monkeypatch.setattr(distributed, "init_process_group", fail)
    with pytest.raises(RunError) as caught, join_group(SECOND_OF_TWO, Device.cpu, 2):
        pass
    said = str(caught.value)
    assert said.startswith("process 1 of 2 cannot join the others (NCCL error in: ")
    assert "Duplicate GPU detected : rank 1 and rank 0 both on CUDA device 1000)" in said
    assert "\n" not in said
    assert not caught.value.reported_by_another_rank


def test_who_has_lost_another_one_says_what_it_saw(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group, "_meet", lambda processes, device: None)
    srun = Processes(0, 0, 2, Launcher.slurm)
    monkeypatch.setattr(group, "_export_slurm_environment", lambda processes: None)
    with (
        pytest.raises(
            PeerFailedError, match=r"has lost another one \(Broken pipe\), whose own"
        ) as lost,
        join_group(srun, Device.cpu, 2),
    ):
        raise RuntimeError("Broken pipe")
    assert not lost.value.reported_by_another_rank


@pytest.mark.parametrize(("one_in_float32", "expected"), [(1, "32-true"), (0, "bf16-mixed")])
def test_all_ranks_train_in_float32_where_one_machine_has_another_cpu(
    one_in_float32: int, expected: str, cpu_description: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpu_description.write_text("flags : avx512_bf16\n")
    asked: list[int] = []

    def max_over_ranks(self: Group, *values: int) -> list[int]:
        asked.extend(values)
        return [one_in_float32]

    monkeypatch.setattr(Group, "max_over_ranks", max_over_ranks)
    network = SmallResNet(1, "conv3", widths=[4], blocks=1)
    assert agree_on_precision("auto", Group(Processes(), Device.cpu), network) == expected
    assert asked == [0]


def test_a_failed_training_leaves_the_network_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    cleaned = []
    monkeypatch.setattr(DDPStrategy, "teardown", lambda self: cleaned.append(self))
    whole, failed = _DataParallel(1), _DataParallel(1)
    failed.on_exception(RuntimeError("a kernel never ends"))
    for each in (whole, failed):
        each.teardown()
    assert cleaned == [whole]
