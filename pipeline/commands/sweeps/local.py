"""Jobs of a sweep on this machine, some at a time."""

from __future__ import annotations

import os
import queue
import shutil
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from pipeline.commands.sweeps.bookkeeping import (
    BusyError,
    Outcome,
    forget_end,
    job_folder,
)
from pipeline.commands.sweeps.jobs import Job
from pipeline.commands.sweeps.processes import JobProcesses
from pipeline.commands.sweeps.run_job import run_job
from pipeline.distributed.launch import share_threads
from pipeline.errors import InterruptedRunError
from pipeline.runtime.signals import StopRequest

LOOK_SECONDS = 0.2  # between two looks for a signal

Tell = Callable[[Job, Outcome | None], None]


def run_locally(jobs: Sequence[Job], sweep: Path, count: int, tell: Tell) -> None:
    """Run jobs, those first that others wait for.

    Args:
        jobs: of the sweep, in order.
        sweep: the folder of its bookkeeping.
        count: how many run at a time.
        tell: is told of each one that ends; with None of one that another process runs.

    Raises:
        InterruptedRunError: a signal stopped them.

    Whatever else is raised, by ``tell`` too, stops them as a signal does.
    """
    processes, stop = JobProcesses(), StopRequest()
    places: queue.SimpleQueue[dict[str, str]] = queue.SimpleQueue()
    for place in list_places(count):
        places.put(place)

    def run_one(job: Job) -> Outcome | None:
        place = places.get()
        try:
            forget_end(job_folder(sweep, job.name))
            return run_job(job, sweep, processes, place)
        except BusyError:
            return None
        finally:
            places.put(place)

    waves = [job for job in jobs if job.target], [job for job in jobs if not job.target]
    waiting: dict[Future[Outcome | None], Job] = {}

    def stop_all() -> None:
        for future in waiting:
            future.cancel()
        processes.stop()

    with stop.listening(), ThreadPoolExecutor(count) as pool:
        try:
            for wave in waves:
                for job in wave if not processes.stopped else ():
                    waiting[pool.submit(run_one, job)] = job
                while waiting:
                    if stop.received is not None and not processes.stopped:
                        stop_all()
                    ended, _ = wait(waiting, LOOK_SECONDS, FIRST_COMPLETED)
                    for future in ended:
                        job = waiting.pop(future)
                        if not future.cancelled():
                            tell(job, future.result())
        except BaseException:
            # The pool waits for what it was given before it lets anything out.
            stop_all()
            raise
    if stop.received is not None:
        raise InterruptedRunError(
            "the sweep was stopped; the same command goes on with what is missing", stop.received
        )


def list_places(count: int) -> list[dict[str, str]]:
    """Return the variables of the environment for each of the runs at a time.

    They share the machine's threads evenly, and take its GPUs in turn, one each, where there are
    several; what the environment says of threads stays.
    """
    given = count == 1 or "OMP_NUM_THREADS" in os.environ
    shared = {} if given else {"OMP_NUM_THREADS": str(share_threads(count))}
    gpus = _list_gpus() if count > 1 else []
    return [
        {**shared, **({"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]} if len(gpus) > 1 else {})}
        for number in range(count)
    ]


def _list_gpus() -> list[str]:
    """Return the names of NVIDIA's GPUs for CUDA; those that the environment names."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return [name for name in given.split(",") if name]
    if (program := shutil.which("nvidia-smi")) is None:
        return []
    told = subprocess.run([program, "-L"], capture_output=True, text=True)
    return [str(n) for n, line in enumerate(told.stdout.splitlines()) if line.startswith("GPU ")]
