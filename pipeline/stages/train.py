"""Train a task in as many processes as the params say."""

from __future__ import annotations

from pipeline.artifacts.plans.files import require_plan
from pipeline.artifacts.plans.train import MachinePlan, TrainPlan
from pipeline.distributed.processes import Launcher, read_processes, require_planned_count
from pipeline.errors import RunError
from pipeline.runtime.device import Device
from pipeline.runtime.inputs import Inputs


def writes() -> bool:
    """Return whether this process is the one that writes the stage's outputs.

    The one that has started others holds the outputs for them.
    """
    processes = read_processes()
    return processes.first and processes.launcher is not Launcher.command


def run(task: int, device: Device, inputs: Inputs) -> int:
    """Train in this process, or start several and wait for them; return their exit code.

    Args:
        task: the number of the task, from 1.
        device: where to train.
        inputs: what the state is made from, as it was when this process began.

    Raises:
        PipelineError: the processes are not those that the params say; or as
            ``pipeline.stages.train_task.run``.
    """
    machine = require_plan(MachinePlan, "machine")
    processes = read_processes()
    try:
        require_planned_count(processes, machine.devices, machine.num_nodes)
    except RunError as error:
        error.reported_by_another_rank = not processes.first
        raise
    if processes.launcher is Launcher.nobody and machine.devices > 1:
        from pipeline.distributed.launch import run_together, this_package

        require_plan(TrainPlan, f"train_{task}")
        command = this_package("train", str(task), "--device", device.value, "--planned")
        return run_together(command, machine.devices)
    from pipeline.stages import train_task as train

    train.run(task, device, processes, inputs)
    return 0
