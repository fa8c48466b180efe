"""The processes that train a task together: how they meet, and what they agree on."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
from torch import distributed

from pipeline.distributed.processes import Launcher, Processes
from pipeline.errors import PeerFailedError, PipelineError, RunError
from pipeline.runtime.device import Device, choose_device, require_devices

T = TypeVar("T")

# Whatever one of them does alone, say decode a data set, the others wait for.
TIMEOUT = timedelta(days=1)
# As gloo and the store put it; there is no exception of their own.
PEER_FAILED = re.compile(
    "connection (closed|reset|refused)|broken pipe|socket|recvValue failed|peer|"
    "NCCL|store.*(timed? ?out|failed)",
    re.IGNORECASE,
)


class Group:
    """What the processes say to each other beside the tensors of training.

    That goes over the CPU: it neither waits for a GPU nor hangs where a process has died.

    Args:
        processes: which of them this is.
        device: where they train.
        control: the group; None where there is one process alone.
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
        """Return the greatest of each value over the processes."""
        if self.control is None:
            return list(values)
        found = torch.tensor(values)
        distributed.all_reduce(found, distributed.ReduceOp.MAX, self.control)
        return [int(value) for value in found]

    def broadcast(self, value: T) -> T:
        """Return the value that the first process has."""
        if self.control is None:
            return value
        held = [value]
        distributed.broadcast_object_list(held, 0, self.control)
        return held[0]

    @contextmanager
    def fail_together(self) -> Iterator[None]:
        """Let an error that some processes meet be one of all of them, which the first tells.

        What is done inside must not wait for other processes.

        Raises:
            PipelineError: one of them has met it.
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
        """Return an error that all processes raise, for the first one to tell."""
        error.reported_by_another_rank = not self.processes.first
        return error


@contextmanager
def join_group(processes: Processes, wanted: Device, devices: int) -> Iterator[Group]:
    """Meet the other processes; part from them at the end.

    Args:
        processes: which of them this is.
        wanted: where to train.
        devices: GPUs, or processes, of this machine.

    Raises:
        RunError: the device is not there, or not so often.
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
    on_gpu = device is Device.cuda
    if on_gpu:
        torch.cuda.set_device(processes.local_rank)
    try:
        distributed.init_process_group(
            "nccl" if on_gpu else "gloo",
            rank=processes.rank,
            world_size=processes.count,
            device_id=torch.device("cuda", processes.local_rank) if on_gpu else None,
        )
        control = distributed.new_group(backend="gloo", timeout=TIMEOUT)
        assert isinstance(control, distributed.ProcessGroup), "this process is in no group"
        yield Group(processes, device, control)
    except RuntimeError as error:
        # Elsewhere such a message may mean something else; here they are all in a step.
        if not isinstance(error, distributed.DistError) and not PEER_FAILED.search(str(error)):
            raise
        lost = PeerFailedError(
            f"process {processes.rank} of {processes.count} has lost another one, whose own "
            "message says why it ended; the same command goes on from the last checkpoint"
        )
        # Who has started the others sees them end, and says what there is to say.
        command = processes.launcher is Launcher.command
        lost.reported_by_another_rank = command or not processes.first
        raise lost from error
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()


def _export_slurm_environment(processes: Processes) -> None:
    """Set the environment that torch and Lightning read."""
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
