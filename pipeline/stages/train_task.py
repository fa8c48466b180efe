"""train: one task, from the previous task's state to this one's."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import cast

import torch

from pipeline.artifacts.plan import part, require_slot
from pipeline.artifacts.split import split_digest
from pipeline.building.training import build_optimization
from pipeline.building.views import build_augment
from pipeline.data.batches import TaskOrder, training_batches
from pipeline.distributed.group import Group, joined
from pipeline.distributed.processes import Processes
from pipeline.distributed.sync_batchnorm import synchronize_batchnorm
from pipeline.errors import StateError
from pipeline.files.sealed_json import Json, digest
from pipeline.runtime.device import Device, choose_precision, rounding
from pipeline.runtime.shortages import explain_out_of_memory
from pipeline.stages.train_inputs import begin_strategy, read_inputs, tasks_learnt
from pipeline.stages.train_outputs import write_outputs
from pipeline.training.fit import fit, make_deterministic
from pipeline.training.learner import Learner
from pipeline.training.resume import hold_checkpoint, resume


def run(task: int, device: Device, processes: Processes) -> None:
    """Train a task and write its state, its log and its timing.

    Goes on where a process that was stopped or killed left the same training. Of several
    processes the first one writes.

    Args:
        task: the number of the task, from 1.
        device: where to train.
        processes: which of those that train it together this is.

    Raises:
        InterruptedRunError: Ctrl-C or SIGTERM; training is saved.
        PipelineError: the device, the split, the images or the previous state are not there
            or not the plan's; a loss is not finite; or there is too little memory.
    """
    slot = require_slot(f"train_{task}")
    machine = require_slot("machine")
    batch_size = cast(int, part(slot, "train")["batch_size"])
    with (
        explain_out_of_memory(
            f"task {task}",
            f"try train.batch_size: {max(1, batch_size // 2)} (now {batch_size}), with "
            "train.learning_rate in proportion, or more train.devices",
        ),
        joined(processes, device, cast(int, machine["devices"])) as group,
    ):
        _run(slot, task, group, cast(int, machine["num_nodes"]))


def _run(slot: Json, task: int, group: Group, num_nodes: int) -> None:
    where, processes = group.device, group.processes
    training = part(slot, "train")
    precision = choose_precision(cast(str, training["precision"]), where)
    batch_size = cast(int, training["batch_size"])
    # The first alone fetches or decodes what is not there yet.
    for turn in (True, False):
        with group.all_or_none():
            if processes.first is turn:
                read = read_inputs(slot, task, batch_size)
    previous, method, counts, images, past_images = read
    synchronised = processes.count > 1 and training["batchnorm_groups"] == 1
    if synchronised:
        synchronize_batchnorm(method)
    augment = build_augment(slot, processes.rank, processes.count)
    make_deterministic(where)
    started = time.monotonic()
    try:
        strategy = begin_strategy(slot, task, method, previous, past_images, augment, where)
    except StateError as error:
        raise group.once(error) from error
    if synchronised:
        synchronize_batchnorm(strategy)
    looked_back = time.monotonic() - started
    optimization = build_optimization(slot)
    epochs = strategy.epochs(counts, batch_size, optimization.epochs)
    optimization = replace(optimization, epochs=epochs)
    seed = cast(int, slot["seed"])
    parts = cast(int, training["accumulate_grad_batches"])
    order = TaskOrder(
        len(images), batch_size, epochs, seed, task, parts, processes.rank, processes.count
    )
    learner = Learner(
        method, strategy, augment, optimization, order.steps_per_epoch, seed, task, parts
    )
    fingerprint = digest(
        {
            "plan": digest(slot),
            "parent": previous.content,
            "splits": [
                split_digest(n) for n in sorted({*tasks_learnt(slot, task), max(1, task - 1)})
            ],
            "device": str(where),
            "rounding": rounding(where),
            "precision": precision,
            "processes": processes.count,
            "torch": torch.__version__,
        }
    )
    with hold_checkpoint(group, task, fingerprint, digest(slot)) as checkpoint:
        seconds = resume(learner, checkpoint, group)
        order.start = learner.position.step
        loader = training_batches(images, order)
        seconds = fit(learner, loader, where, precision, checkpoint, seconds, group, num_nodes)
        if processes.first:
            write_outputs(slot, task, learner, previous, seconds, looked_back, group, precision)
            checkpoint.remove()
