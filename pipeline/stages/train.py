"""train: one task, from the previous task's state to this one's."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline import layout
from pipeline.checkpoint import Checkpoint, hold
from pipeline.data.augment import Augment
from pipeline.data.batches import Images, TaskOrder, training_batches
from pipeline.data.source import Source
from pipeline.data.split_checks import require_images
from pipeline.data.split_files import read_split, split_digest
from pipeline.device import (
    Device,
    Precision,
    choose_precision,
    explain_out_of_memory,
    rounding,
)
from pipeline.errors import DataError, RunError, StateError
from pipeline.files import Json, digest, file_digest, write_csv, write_sealed
from pipeline.fit import fit, make_deterministic
from pipeline.group import Group, joined
from pipeline.learner import Learner
from pipeline.methods.base import Method
from pipeline.models.sync_batchnorm import synchronise_batchnorm
from pipeline.processes import Processes
from pipeline.seeding import generator, initialisation
from pipeline.stages.augmentation import build_augment
from pipeline.stages.building import build_method, build_optimisation, build_strategy
from pipeline.stages.slots import (
    build_backbone,
    learnt_from,
    made_by,
    maker,
    open_source,
    part,
    require_slot,
)
from pipeline.state import State, load_module, load_state, save_state
from pipeline.strategies.base import Strategy, TaskStart


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
                read = _read(slot, task, batch_size)
    previous, method, counts, images, past_images = read
    synchronised = processes.count > 1 and training["batchnorm_groups"] == 1
    if synchronised:
        synchronise_batchnorm(method)
    augment = build_augment(slot, processes.rank, processes.count)
    make_deterministic(where)
    started = time.monotonic()
    try:
        strategy = _strategy(slot, task, method, previous, past_images, augment, where)
    except StateError as error:
        raise group.once(error) from error
    if synchronised:
        synchronise_batchnorm(strategy)
    looked_back = time.monotonic() - started
    optimisation = build_optimisation(slot)
    epochs = strategy.epochs(counts, batch_size, optimisation.epochs)
    optimisation = replace(optimisation, epochs=epochs)
    seed = cast(int, slot["seed"])
    parts = cast(int, training["accumulate_grad_batches"])
    order = TaskOrder(
        len(images), batch_size, epochs, seed, task, parts, processes.rank, processes.count
    )
    learner = Learner(
        method, strategy, augment, optimisation, order.steps_per_epoch, seed, task, parts
    )
    fingerprint = digest(
        {
            "plan": digest(slot),
            "parent": previous.content,
            "splits": [split_digest(n) for n in sorted({*_tasks(slot, task), max(1, task - 1)})],
            "device": str(where),
            "rounding": rounding(where),
            "precision": precision,
            "processes": processes.count,
            "torch": torch.__version__,
        }
    )
    with _hold(group, task, fingerprint, digest(slot)) as checkpoint:
        seconds = _resume(learner, checkpoint, group)
        order.start = learner.position.step
        loader = training_batches(images, order)
        seconds = fit(learner, loader, where, precision, checkpoint, seconds, group, num_nodes)
        if processes.first:
            _write(slot, task, learner, previous, seconds, looked_back, group, precision)
            checkpoint.remove()


class Read(NamedTuple):
    """What training reads.

    Attributes:
        previous: the state before.
        method: the network as that has it.
        counts: images of each task that is learnt now.
        images: of those tasks.
        past_images: of the task before, where the strategy looks back.
    """

    previous: State
    method: Method
    counts: list[int]
    images: Images
    past_images: Images | None


def _read(slot: Json, task: int, batch_size: int) -> Read:
    previous = _previous_state(slot, task)
    source = open_source(slot)
    places = [_places(source, number, batch_size) for number in _tasks(slot, task)]
    images = _images(source, np.concatenate(places))
    looks_back = "strategies" in slot and task > 1
    past_images = _images(source, _places(source, task - 1)) if looks_back else None
    method = _method(slot, task, previous)
    return Read(previous, method, [len(held) for held in places], images, past_images)


@contextmanager
def _hold(group: Group, task: int, fingerprint: str, plan: str) -> Iterator[Checkpoint]:
    """Let the first process hold a checkpoint, which all of them read."""
    if group.processes.first:
        with hold(task, fingerprint, plan) as checkpoint:
            group.of_first(str(checkpoint.path.parent))
            yield checkpoint
    else:
        yield Checkpoint(Path(group.of_first("")), task, fingerprint, plan)


def _resume(learner: Learner, checkpoint: Checkpoint, group: Group) -> float:
    """Bring a learner to where the checkpoint is, if there is one; return the seconds so far.

    Raises:
        RunError: the processes have not read the same.
    """
    seconds = 0.0
    with group.all_or_none():
        snapshot = checkpoint.load()
        if snapshot is not None:
            learner.restore(snapshot)
            seconds = cast(float, snapshot.record["seconds"])
    at = learner.position
    last, first = group.greatest(at.step, -at.step)
    if last != -first:
        error = RunError(
            f"some processes go on after step {-first} and some after {last}; put "
            f"{layout.CHECKPOINTS} where all machines see the same files"
        )
        raise group.once(error)
    if snapshot is not None and group.processes.first:
        done = f"task {learner.task} goes on after step {at.step} of {at.total_steps}"
        print(done, file=sys.stderr, flush=True)
    return seconds


def _write(
    slot: Json,
    task: int,
    learner: Learner,
    previous: State,
    seconds: float,
    looked_back: float,
    group: Group,
    precision: Precision,
) -> None:
    """Write the outputs, the state last."""
    method, strategy = learner.method, learner.strategy
    batch_size = cast(int, part(slot, "train")["batch_size"])
    tensors = {f"method.{name}": value for name, value in method.state_dict().items()}
    tensors |= {f"strategy.{name}": value for name, value in strategy.carried().items()}
    origin: Json = {
        "task": task,
        "backbone": slot["backbone"],
        "method": part(slot, "method")["name"],
        "plan": digest(slot),
        **maker(slot),
        **previous.descent(digest(read_split(task))),
    }
    columns = list(learner.epoch_rows[0])
    write_csv(layout.log(task), columns, learner.epoch_rows)
    timing: Json = {
        "seconds": round(seconds, 1),
        "look_back_seconds": round(looked_back, 1),
        "steps": learner.total_steps,
        "device": str(group.device),
        "processes": group.processes.count,
        "precision": precision,
        "forward_passes": round(learner.forward_passes(batch_size), 4),
        "strategy_bytes": _bytes(_tensors(strategy)),
        "carried_bytes": _bytes(strategy.carried().values()),
        "log": file_digest(layout.log(task)),
    }
    write_sealed(layout.timing(task), timing)
    save_state(layout.state(task), tensors, origin)


def _tasks(slot: Json, task: int) -> Sequence[int]:
    """Return the tasks whose images are learnt now."""
    if "whole_stream" not in slot:
        return [task]
    return range(1, cast(int, part(slot, "whole_stream")["tasks"]) + 1)


def _tensors(strategy: Strategy) -> list[Tensor]:
    return [*strategy.parameters(), *strategy.buffers()]


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _previous_state(slot: Json, task: int) -> State:
    """Read the state that the plan says this task starts from."""
    before = task - 1
    origin: Json = {"task": before, "backbone": slot["backbone"]}
    if before > 0:
        origin |= {"method": part(slot, "method")["name"], **learnt_from(before)}
        # Splits of earlier tasks are no dependencies of the stage, and need not be here.
        if None in cast(list[str | None], origin["task_order"]):
            del origin["task_order"]
        if origin["split"] is None:
            del origin["split"]
    origin |= made_by("init" if before == 0 else f"train_{before}", slot["previous"])
    stage = "cassle init" if before == 0 else f"cassle train {before}"
    return load_state(layout.state(before), origin, f"run `{stage}` first (or `dvc repro`)")


def _places(source: Source, task: int, at_least: int = 1) -> NDArray[np.int64]:
    """Return which of the training images a task holds, ``(N,)``."""
    split = read_split(task)
    require_images(source, "train", split)
    places = np.array(split["train"], np.int64)
    if len(places) < at_least:
        raise DataError(
            f"task {task} has {len(places)} images, fewer than train.batch_size "
            f"({at_least}); lower train.batch_size or num_tasks"
        )
    return places


def _images(source: Source, places: NDArray[np.int64]) -> Images:
    """Return training images, which are read as they are needed."""
    return Images(source.images("train"), places, source.workers("train"))


def _method(slot: Json, task: int, previous: State) -> Method:
    """Return the network as the previous task left it; new around the backbone for task 1."""
    with initialisation(cast(int, slot["seed"]), "method"):
        backbone = build_backbone(part(slot, "backbone"))
        # Before the method is built around it: momentum networks begin as copies.
        load_module(backbone, previous.section("method.backbone"), layout.state(task - 1))
        method = build_method(slot, backbone)
    if task > 1:
        load_module(method, previous.section("method"), layout.state(task - 1))
    return method.to(memory_format=torch.channels_last)


def _strategy(
    slot: Json,
    task: int,
    method: Method,
    previous: State,
    past_images: Images | None,
    augment: Augment,
    device: Device,
) -> Strategy:
    """Return the strategy, which has looked back; fine-tuning on task 1 of a stream."""
    seed = cast(int, slot["seed"])
    with initialisation(seed, "strategy", task):
        strategy = build_strategy(slot)
        if past_images is None:
            return strategy
        batch_size = cast(int, part(slot, "train")["batch_size"])
        start = TaskStart(
            task=task,
            method=method,
            carried=previous.section("strategy"),
            previous_images=past_images,
            augment=augment,
            normalise=augment.normalise,
            batch_size=batch_size // cast(int, part(slot, "train")["accumulate_grad_batches"]),
            device=str(device),
            generators=lambda *purpose: generator(seed, "strategy", task, *purpose),
        )
        try:
            strategy.begin_task(start)
        except ValueError as error:
            names = "+".join(
                cast(str, spec["name"]) for spec in cast(list[Json], slot["strategies"])
            )
            raise StateError(
                f"{layout.state(task - 1)} does not fit strategy {names}: {error}"
            ) from error
    return strategy
