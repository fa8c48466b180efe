"""What training a task reads: the previous state, the images and the network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline import layout
from pipeline.artifacts.plan import made_by, part
from pipeline.artifacts.split import learnt_from, read_split
from pipeline.artifacts.state import State, load_state
from pipeline.building.backbone import build_backbone
from pipeline.building.data import open_source
from pipeline.building.split_images import require_images
from pipeline.building.training import build_method, build_strategy
from pipeline.data.augmentation.augment import Augment
from pipeline.data.batches import Images
from pipeline.data.source import Source
from pipeline.errors import DataError, StateError
from pipeline.files.sealed_json import Json
from pipeline.methods.base import Method
from pipeline.models.loading import load_module
from pipeline.runtime.device import Device
from pipeline.seeding import generator, seeded_initialization
from pipeline.strategies.base import Strategy, TaskStart


class TaskInputs(NamedTuple):
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


def read_inputs(slot: Json, task: int, batch_size: int) -> TaskInputs:
    """Return what training a task reads.

    Raises:
        PipelineError: something is missing, damaged, or not the plan's.
    """
    previous = _previous_state(slot, task)
    source = open_source(slot)
    places = [_places(source, number, batch_size) for number in tasks_learnt(slot, task)]
    images = _images(source, np.concatenate(places))
    looks_back = "strategies" in slot and task > 1
    past_images = _images(source, _places(source, task - 1)) if looks_back else None
    method = _method(slot, task, previous)
    return TaskInputs(previous, method, [len(held) for held in places], images, past_images)


def tasks_learnt(slot: Json, task: int) -> Sequence[int]:
    """Return the tasks whose images are learnt now."""
    if "whole_stream" not in slot:
        return [task]
    return range(1, cast(int, part(slot, "whole_stream")["tasks"]) + 1)


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
    with seeded_initialization(cast(int, slot["seed"]), "method"):
        backbone = build_backbone(part(slot, "backbone"))
        # Before the method is built around it: momentum networks begin as copies.
        load_module(backbone, previous.section("method.backbone"), layout.state(task - 1))
        method = build_method(slot, backbone)
    if task > 1:
        load_module(method, previous.section("method"), layout.state(task - 1))
    return method.to(memory_format=torch.channels_last)


def begin_strategy(
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
    with seeded_initialization(seed, "strategy", task):
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
            normalize=augment.normalize,
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
