"""Too little memory: one error that says what to try."""

from __future__ import annotations

import errno
import os
import sys

import pytest
import torch
from torch import Tensor

from pipeline.runtime.shortages import describe_shortage
from tests.support.interruption import at_step
from tests.support.project import Project


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB\nmore"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        MemoryError(),
        torch.AcceleratorError("CUDA error: out of memory\nmore"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError(
            "DataLoader worker (pid 9) is killed by signal: Bus error. It is possible that dataloader's workers are out of shared memory."
        ),
    ],
)
def test_out_of_memory_says_the_batch_size_to_try(
    error: BaseException, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.trained(0)

    def fail() -> None:
        raise error

    at_step(monkeypatch, 1, fail)
    code, _, err = project.cassle("train", "1")
    assert code == 2
    assert "task 1: out of memory" in err
    assert "try train.batch_size: 8 (now 16)" in err
    assert len(err.strip().splitlines()[-1].splitlines()) == 1


def test_evaluation_says_that_memory_is_short(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.trained(0)

    def extract(*arguments: object) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr("pipeline.building.state_features.extract", extract)
    code, _, err = project.cassle("evaluate", "0")
    assert code == 2
    assert err == (
        "error: evaluation: out of memory (CUDA out of memory.); end other "
        "programs, or choose another --device\n"
    )


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
    ],
)
def test_any_command_says_that_memory_is_short(
    error: Exception, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.must("plan")

    def fail(spec: object) -> None:
        raise error

    monkeypatch.setattr("pipeline.stages.init.build_backbone", fail)
    code, _, err = project.cassle("init")
    assert code == 2
    assert err.startswith(f"error: out of memory ({str(error)[:30]}")
    assert err.endswith("make the network or the batches smaller\n")


def test_where_no_network_runs_none_is_to_be_made_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    assert str(describe_shortage(MemoryError())).endswith("make the network or the batches smaller")
    monkeypatch.delitem(sys.modules, "torch")
    assert describe_shortage(MemoryError()) == "out of memory (no more of it); end other programs"


def test_another_runtime_error_keeps_its_traceback(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.trained(0)

    def fail() -> None:
        raise RuntimeError("a defect")

    at_step(monkeypatch, 1, fail)
    with pytest.raises(RuntimeError, match="a defect"):
        project.cassle("train", "1")


def test_a_path_that_cannot_be_used_is_one_clear_error(project: Project) -> None:
    long = "x" * 300 + ".png"
    assert f"cannot use {long}: File name too long" in project.refuses(
        "search", long, "--in", "photos"
    )


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOTDIR, errno.EIO])
def test_only_an_error_that_names_its_path_is_one_of_a_path(number: int) -> None:
    said = describe_shortage(OSError(number, os.strerror(number), "a/b"))
    assert said is not None
    assert said.startswith(f"cannot use a/b: {os.strerror(number)}; ")
    assert describe_shortage(OSError(number, os.strerror(number))) is None
    assert describe_shortage(OSError(number, os.strerror(number), 3)) is None
    assert describe_shortage(FileNotFoundError(errno.ENOENT, "No such file", "a/b")) is None
