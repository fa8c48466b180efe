"""The process group of a training, and the values and errors that its ranks share."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
from torch import distributed

from pipeline.distributed.processes import Launcher, Processes, note_reason
from pipeline.errors import PeerFailedError, PipelineError, RunError
from pipeline.runtime.device import Device, choose_device, require_devices
from pipeline.runtime.shortages import describe_memory_shortage

T = TypeVar("T")

# The other ranks wait while one works alone, e.g. decodes a data set.
TIMEOUT = timedelta(days=1)
# Messages of gloo and the store, which have no exception type of their own.
PEER_FAILED = re.compile(
    "connection (closed|reset|refused)|broken pipe|socket|recvValue failed|peer|"
    "NCCL|store.*(timed? ?out|failed)",
    re.IGNORECASE,
)


class Group:
    """The ranks of a training, with collectives for small values and errors.

    These run over gloo on the CPU: they neither wait for a GPU nor hang after a rank died.

    Args:
        processes: this process's rank and the world size.
        device: the device to train on.
        control: the gloo group; None for a single process.
    """

    def __init__(
        self,
        processes: Processes,
        device: Device,
        control: distributed.ProcessGroup | None = None,
    ) -> None:
        self.processes = processes
        self.device = device
        self.control = control

    def max_over_ranks(self, *values: int) -> list[int]:
        """Return the maximum of each value over all ranks."""
        if self.control is None:
            return list(values)
        found = torch.tensor(values)
        distributed.all_reduce(found, distributed.ReduceOp.MAX, self.control)
        return [int(value) for value in found]

    def broadcast(self, value: T) -> T:
        """Return rank 0's value."""
        if self.control is None:
            return value
        held = [value]
        distributed.broadcast_object_list(held, 0, self.control)
        return held[0]

    @contextmanager
    def fail_together(self) -> Iterator[None]:
        """If any rank raises a PipelineError, raise it on every rank; only rank 0 prints it.

        The code inside must not wait for other ranks.

        Raises:
            PipelineError: a rank raised it.
        """
        if self.control is None:
            yield
            return
        own: PipelineError | None = None
        try:
            yield
        except PipelineError as error:
            own = error
        said: list[str | None] = [None] * self.processes.count
        distributed.all_gather_object(said, None if own is None else str(own), self.control)
        told = next((message for message in said if message is not None), None)
        if told is None:
            return
        shared = own if own is not None and str(own) == told else RunError(told)
        raise self.mark_reported(shared) from own

    def mark_reported(self, error: PipelineError) -> PipelineError:
        """Return an error that all ranks raise, marked so that only rank 0 prints it."""
        error.reported_by_another_rank = not self.processes.first
        return error


@contextmanager
def join_group(processes: Processes, wanted: Device, devices: int) -> Iterator[Group]:
    """Join the process group, and leave it at the end.

    After an error the process stays in it: to leave waits, with NCCL, for the kernels of all
    ranks, and those of a rank that waits for this one never end. The command line then ends the
    process at once (``pipeline.distributed.processes.in_group``).

    Args:
        processes: this process's rank and the world size.
        wanted: the device to train on.
        devices: GPUs, or processes, on this machine.

    Raises:
        RunError: the device is not there, or not so often; or the ranks cannot meet.
        PeerFailedError: another process has ended.
    """
    try:
        device = choose_device(wanted)
        require_devices(device, devices)
    except RunError as error:
        error.reported_by_another_rank = processes.local_rank > 0
        raise
    if processes.count == 1:
        yield Group(processes, device)
        return
    if processes.launcher is Launcher.slurm:
        _export_slurm_environment(processes)
    control = _meet(processes, device)
    try:
        yield Group(processes, device, control)
    except RuntimeError as error:
        if describe_memory_shortage(error) is not None:
            raise  # NCCL too says so in an error of its own
        # Elsewhere such a message could mean something else; here all ranks are in a step.
        if not isinstance(error, distributed.DistError) and not PEER_FAILED.search(str(error)):
            raise
        note_reason(processes, _summarize(error))
        lost = PeerFailedError(
            f"process {processes.rank} of {processes.count} has lost another one "
            f"({_summarize(error)}), whose own message says why it ended; the same command goes on "
            "from the last checkpoint"
        )
        # The command that started the ranks sees them end, and reports it.
        command = processes.launcher is Launcher.command
        lost.reported_by_another_rank = command or not processes.first
        raise lost from error
    distributed.destroy_process_group()


def _meet(processes: Processes, device: Device) -> distributed.ProcessGroup:
    """Form the process group; return one over gloo beside it, for small values.

    Raises:
        RunError: the ranks cannot meet.
    """
    on_gpu = device is Device.cuda
    try:
        if on_gpu:
            torch.cuda.set_device(processes.local_rank)
        distributed.init_process_group(
            "nccl" if on_gpu else "gloo",
            rank=processes.rank,
            world_size=processes.count,
            device_id=torch.device("cuda", processes.local_rank) if on_gpu else None,
        )
        control = distributed.new_group(backend="gloo", timeout=TIMEOUT)
    except RuntimeError as error:
        if describe_memory_shortage(error) is not None:
            raise
        hint = "set NCCL_DEBUG=INFO to see more" if on_gpu else "GLOO_SOCKET_IFNAME names a network"
        # Each of them says it: which one knows the cause is not known here.
        raise RunError(
            f"process {processes.rank} of {processes.count} cannot join the others "
            f"({_summarize(error)}); {hint}"
        ) from error
    assert isinstance(control, distributed.ProcessGroup), "this process is in no group"
    return control


def _summarize(error: RuntimeError) -> str:
    """Return the first line of an error, and the last one where that has NCCL's own reason."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [repr(error)]
    return lines[0] if len(lines) == 1 or "NCCL" not in lines[0] else f"{lines[0]} {lines[-1]}"


def _export_slurm_environment(processes: Processes) -> None:
    """Set the environment variables that torch and Lightning read, from SLURM's."""
    from lightning_fabric.plugins.environments.slurm import SLURMEnvironment

    slurm = SLURMEnvironment(auto_requeue=False)
    os.environ |= {
        "MASTER_ADDR": slurm.main_address,
        "MASTER_PORT": str(slurm.main_port),
        "RANK": str(processes.rank),
        "LOCAL_RANK": str(processes.local_rank),
        "NODE_RANK": os.environ.get("SLURM_NODEID", "0"),
        "WORLD_SIZE": str(processes.count),
    }
