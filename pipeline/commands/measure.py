"""preset cost --measure: the time that training a recipe would take on this machine.

A few steps of the first task and of a later one are taken, each in a process of its own: so
peaks of memory are apart, and where the system kills a process for its memory, this one says so.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from pipeline.artifacts.plans.train import TrainPlan
from pipeline.commands.cost import count_images, count_steps
from pipeline.config.resolve import Plans
from pipeline.errors import PipelineError, RunError
from pipeline.runtime.before_torch import before_torch
from pipeline.runtime.device import Device, choose_device
from pipeline.runtime.machine import describe_machine

if TYPE_CHECKING:
    from pipeline.commands.step_times import StepTime

DEFAULT_STEPS, DEFAULT_WARM_UP = 8, 2  # views are drawn for eight steps at once


@dataclass(frozen=True)
class Measuring:
    """How steps are measured.

    Attributes:
        steps: that count.
        warm_up: steps before those.
        device: where.
    """

    steps: int
    warm_up: int
    device: Device


def print_measured(plans: Mapping[str, Plans], wanted: Measuring) -> None:
    """Measure recipes and print a Markdown table, rows as they are measured.

    Args:
        plans: of each recipe, by its name.
        wanted: how.

    Raises:
        PipelineError: the device is not here, the images are not known, a batch does not fit
            into the memory, or a task has too few steps.
    """
    device = choose_device(wanted.device)
    wanted = replace(wanted, device=device)
    tasks = {name: count_steps(name, each) for name, each in plans.items()}
    begun = False
    for name, steps in tasks.items():
        for line in _measure_recipe(name, plans[name], steps, wanted):
            if not begun:
                print(_head(wanted))
                begun = True
            print(line, flush=True)
    print(
        "\nA step holds reading from memory, augmentation, both passes and the optimizer. Decoding "
        "image files, the ends of epochs, checkpoints, looking back and evaluation come on top."
    )


def _head(measured: Measuring) -> str:
    return "\n".join(
        [
            f"{describe_machine(measured.device)}: the mean of {measured.steps} steps after "
            f"{measured.warm_up} on one device, on random images of the data set's format",
            "",
            "| preset | tasks | batch | s a step | images/s | peak memory (GiB) | steps | hours |",
            "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        ]
    )


def _measure_recipe(name: str, plans: Plans, steps: list[int], wanted: Measuring) -> Iterator[str]:
    """Yield a row for task 1, one for the later tasks, and one for all."""
    images = count_images(name, plans.prepare)
    parts = {"1": (1, steps[:1])}
    if len(steps) > 1:
        # From task 2 on all tasks are alike.
        named = "2" if len(steps) == 2 else f"2 to {len(steps)}"
        parts[named] = (2, steps[1:])
    hours, peak = 0.0, 0.0
    for named, (task, counted) in parts.items():
        plan = plans.train[task]
        found = measure_apart(name, plan, images[task - 1], wanted)
        batch_size, total = plan.train.batch_size, sum(counted)
        part_hours = found.seconds * total / 3600
        hours, peak = hours + part_hours, max(peak, found.peak_mib)
        yield (
            f"| {name}, {found.precision} | {named} | {batch_size} | {found.seconds:.3f} "
            f"| {batch_size / found.seconds:.0f} | {found.peak_mib / 1024:.2f} | {total} "
            f"| {part_hours:.1f} |"
        )
    if len(parts) > 1:
        yield f"| {name} | all | | | | {peak / 1024:.2f} | {sum(steps)} | **{hours:.1f}** |"


def measure_apart(name: str, plan: TrainPlan, count: int, wanted: Measuring) -> StepTime:
    """Return the time of a step, measured in a process of its own.

    Args:
        name: of the recipe, for messages.
        plan: of the training.
        count: images of the task.
        wanted: how; its device is here.

    Raises:
        PipelineError: as ``time_steps``; or the process was killed.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_send_time, args=(theirs, plan, count, wanted), daemon=True)
    process.start()
    theirs.close()
    found: StepTime | PipelineError | None = None
    try:
        found = ours.recv()
    except EOFError:
        pass  # it has ended without an answer
    except BaseException:
        process.kill()
        raise
    finally:
        process.join()
    if isinstance(found, PipelineError):
        raise RunError(f"{name}: {found}") from found
    if found is None:
        raise RunError(f"{name}: {_explain_end(plan, process.exitcode)}")
    return found


def _explain_end(plan: TrainPlan, code: int | None) -> str:
    if code != -signal.SIGKILL:
        return f"the process that measured task {plan.task} ended with code {code}, see above"
    from pipeline.commands.step_times import suggest_smaller

    training = plan.train
    remedy = suggest_smaller(training.batch_size, training.accumulate_grad_batches)
    return (
        f"the process that measured task {plan.task} was killed, as a system does where memory "
        f"runs out; {remedy}"
    )


def _send_time(pipe: Connection, plan: TrainPlan, count: int, wanted: Measuring) -> None:
    """Send the time of a step, or the error that there was."""
    before_torch()
    from pipeline.commands.step_times import time_steps

    try:
        pipe.send(time_steps(plan, count, wanted.steps, wanted.warm_up, wanted.device))
    except PipelineError as error:
        pipe.send(RunError(str(error)))
