"""This process's rank, the world size, and the launcher that started the ranks.

Several processes train one task if ``train.devices`` times ``train.num_nodes`` is above 1. On
one machine the command starts them itself (``pipeline.distributed.launch``); torchrun and
SLURM's srun start them too. Importing this module imports no torch.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pipeline.errors import RunError
from pipeline.files.atomic import write_best_effort

# Set for the processes that the command itself started.
LAUNCHED = "CASSLE_LAUNCHED"
REASONS = "CASSLE_REASONS"  # the folder of what they saw of the loss of another one


class Launcher(StrEnum):
    """The program that started the processes."""

    nobody = "nobody"
    command = "this command"
    torchrun = "torchrun"
    slurm = "srun"


@dataclass(frozen=True)
class Processes:
    """This process among those that train a task together.

    Attributes:
        rank: this process's rank, from 0; only rank 0 writes.
        local_rank: its rank on its machine.
        count: the world size.
        launcher: the program that started the processes.
    """

    rank: int = 0
    local_rank: int = 0
    count: int = 1
    launcher: Launcher = Launcher.nobody

    @property
    def first(self) -> bool:
        """Whether this is rank 0, which writes files and prints."""
        return self.rank == 0


def read_processes() -> Processes:
    """Return this process's rank and world size; a single process without a launcher.

    Raises:
        RunError: a variable of the launcher is not a number.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        launcher, names = Launcher.torchrun, ("RANK", "LOCAL_RANK", "WORLD_SIZE")
    elif LAUNCHED in os.environ:
        launcher, names = Launcher.command, ("RANK", "LOCAL_RANK", "WORLD_SIZE")
    elif os.environ.get("SLURM_STEP_NUM_TASKS", "1") != "1":
        launcher, names = Launcher.slurm, ("SLURM_PROCID", "SLURM_LOCALID", "SLURM_STEP_NUM_TASKS")
    else:
        return Processes()
    rank, local_rank, count = (_read_number(name, launcher) for name in names)
    return Processes(rank, local_rank, count, launcher)


def in_group() -> bool:
    """Return whether this process is in a process group, which only a success leaves.

    A process that an error ends has to end at once (``os._exit``): leaving the group, as Python's
    clean-up does too, waits for the others on GPUs.
    """
    distributed = sys.modules.get("torch.distributed")
    return distributed is not None and distributed.is_available() and distributed.is_initialized()


def note_reason(processes: Processes, reason: str) -> None:
    """Leave a line for the command that started this process; it says it if nobody else does."""
    if processes.launcher is Launcher.command and REASONS in os.environ:
        write_best_effort(Path(os.environ[REASONS]) / str(processes.rank), reason)


def _read_number(name: str, launcher: Launcher) -> int:
    given = os.environ.get(name, "")
    if not given.isdecimal():
        raise RunError(f"{launcher} has set {name} to {given!r}, expected a number; start it anew")
    return int(given)


def require_planned_count(found: Processes, devices: int, num_nodes: int) -> None:
    """Check that as many processes run as the params say.

    Raises:
        RunError: another number runs, or a launcher for several machines is missing.
    """
    wanted = devices * num_nodes
    said = f"train.devices × train.num_nodes is {devices} × {num_nodes} = {wanted}"
    if found.launcher is not Launcher.nobody:
        if found.count != wanted:
            raise RunError(
                f"{found.launcher} runs {found.count} processes, but {said}; start {wanted}, or "
                "change the params (and run `cassle plan`)"
            )
    elif num_nodes > 1:
        raise RunError(
            f"{said}, and nobody has started the processes of the other machines; start this "
            f"command on each with torchrun --nnodes {num_nodes} --nproc-per-node {devices} or "
            "with srun, or set train.num_nodes: 1"
        )
