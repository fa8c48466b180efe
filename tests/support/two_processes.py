"""Train tasks of small projects in two processes that start once for many projects."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import sys
from collections.abc import Sequence
from multiprocessing.synchronize import Barrier
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, distributed, multiprocessing

from pipeline.distributed.processes import LAUNCHED, Launcher, Processes
from pipeline.errors import PipelineError, RunError
from pipeline.runtime.device import Device
from pipeline.stages import train_task as train
from pipeline.stages.stage_inputs import note_training
from pipeline.training.learner import Learner

PROCESSES = 2
# What the second process does when a step is about to be taken.
STOP, FAIL, NAN = "stop", "fail", "nan"
Job = tuple[Path, int, str, int]  # project, task, what is done ("" for nothing), at which step


def _free_ports(count: int) -> list[int]:
    """Free ports below those that systems give to connections, which could take them meanwhile."""
    found: list[int] = []
    while len(found) < count:
        port = random.SystemRandom().choice([p for p in range(20_000, 30_000) if p not in found])
        with socket.socket() as tried, contextlib.suppress(OSError):
            tried.bind(("127.0.0.1", port))
            found.append(port)
    return found


def _work(rank: int, jobs: Sequence[Job], ports: Sequence[int], both: Barrier) -> None:
    torch.set_num_threads(1)
    os.environ |= {LAUNCHED: "1", "RANK": str(rank), "LOCAL_RANK": str(rank), "NODE_RANK": "0"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "CASSLE_CHECKPOINT_SECONDS": "1000"}
    processes = Processes(rank, rank, PROCESSES, Launcher.command)
    learners: list[Learner] = []
    step_of, fit_of = Learner.training_step, train.fit
    for (folder, task, what, at), port in zip(jobs, ports, strict=True):
        # The first one alone writes a state, which both read for the next task.
        both.wait()
        os.chdir(folder)
        os.environ |= {"WORLD_SIZE": str(PROCESSES), "MASTER_PORT": str(port)}

        def training_step(
            self: Learner, images: Tensor, index: int, what: str = what, at: int = at
        ) -> Tensor:
            if rank == 1 and self.position.step == at:
                if what == STOP:
                    os.kill(os.getpid(), signal.SIGTERM)
                elif what == FAIL:
                    raise RunError("the second process has no room")
                elif what == NAN:
                    return step_of(self, images, index) * float("nan")
            return step_of(self, images, index)

        def fit(learner: Learner, *arguments: object, **named: object) -> float:
            learners.append(learner)
            return fit_of(learner, *arguments, **named)  # type: ignore[arg-type]

        Learner.training_step = training_step  # type: ignore[method-assign]
        train.fit = fit
        with Path(f"said_{task}_{rank}.txt").open("a") as said:
            sys.stderr = said
            try:
                train.run(task, Device.cpu, processes, note_training(task))
            except PipelineError as error:
                kind = type(error).__name__
                print(
                    f"{kind}{' elsewhere' if error.reported_by_another_rank else ''}: {error}",
                    file=said,
                )
                if rank == 1 and what == FAIL:
                    said.flush()
                    os._exit(0)  # as the command line does: the first one loses this one
                # All have raised it together; the end of the process does this otherwise.
                distributed.destroy_process_group()
            sys.stderr = sys.__stderr__
        if learners:
            held = learners.pop().network()
            tensors = {name: tensor.detach().clone().contiguous() for name, tensor in held.items()}
            save_file(tensors, f"held_{task}_{rank}.safetensors")


def train_in_pairs(jobs: Sequence[Job]) -> None:
    """Train tasks of projects that are planned and prepared, each in two processes.

    A job in which one fails has to be the last one: it ends its process.

    What they say is in ``said_<task>_<rank>.txt`` of the project, what each holds in the end in
    ``held_<task>_<rank>.safetensors``.
    """
    both = multiprocessing.get_context("spawn").Barrier(PROCESSES)
    multiprocessing.spawn(_work, (jobs, _free_ports(len(jobs)), both), nprocs=PROCESSES)
