"""The inputs of training a task: the previous state, the images and the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from pipeline import layout
from pipeline.artifacts.plans.train import TrainPlan
from pipeline.artifacts.split import Split, read_split, split_digest
from pipeline.artifacts.state import BACKBONE, METHOD, STRATEGY, State, read_state
from pipeline.building.backbone import build_backbone
from pipeline.building.data import open_source
from pipeline.building.split_images import open_images
from pipeline.building.training import build_method, build_strategy
from pipeline.data.augmentation.augment import Augment
from pipeline.data.batches import Images
from pipeline.data.source import Selection, Source
from pipeline.errors import DataError, RunError, StateError
from pipeline.methods.base import Method
from pipeline.models.backbone import Backbone
from pipeline.models.freezing import freeze_until
from pipeline.models.loading import load_module
from pipeline.runtime.device import Device
from pipeline.runtime.inputs import Inputs
from pipeline.seeding import generator, seeded_initialization
from pipeline.strategies.base import Strategy, TaskStart


@dataclass(frozen=True)
class TaskInputs:
    """The inputs of training a task.

    Attributes:
        previous: the state before.
        split: the digest of the task's split.
        method: the network as that has it.
        counts: numbers of images of each task that is learnt now.
        images: of those tasks.
        past_images: of the task before, where a strategy reads them.
        ordered: whether the images are in the order of the stream, as those of a task whose
            boundaries are blurred.
    """

    previous: State
    split: str
    method: Method
    counts: Sequence[int]
    images: Images
    past_images: Images | None
    ordered: bool = False


def read_inputs(plan: TrainPlan, inputs: Inputs) -> TaskInputs:
    """The inputs of training a task; the images are noted among what the stage is made from.

    Raises:
        PipelineError: something is missing, damaged, or not the plan's.
    """
    previous = _read_previous_state(plan)
    source = open_source(plan.dataset)
    splits = {task: read_split(task) for task in plan.tasks}
    least = plan.train.batch_size
    held = [_select_task(source, split, least, inputs) for split in splits.values()]
    past = Images(_select_past(source, plan, inputs)) if plan.looks_back else None
    method = _restore_method(plan, previous)
    split = split_digest(splits[plan.task])
    ordered = len(splits) == 1 and splits[plan.task].drifting is not None
    counts = [len(each) for each in held]
    return TaskInputs(previous, split, method, counts, Images(*held), past, ordered)


def begin_strategy(
    plan: TrainPlan, inputs: TaskInputs, augment: Augment, device: Device
) -> Strategy:
    """The strategy, which has looked back, if it acts on this task; else fine-tuning.

    Raises:
        StateError: what the previous state carries does not fit it.
    """
    task = plan.task
    with seeded_initialization(plan.seed, "strategy", task):
        strategy = build_strategy(plan)
        if not plan.strategies or plan.whole_stream is not None:
            return strategy
        start = TaskStart(
            task=task,
            method=inputs.method,
            carried=inputs.previous.section(STRATEGY),
            previous_images=torch.empty(0) if inputs.past_images is None else inputs.past_images,
            augment=augment,
            normalize=augment.normalize,
            batch_size=plan.train.batch_size // plan.train.accumulate_grad_batches,
            device=str(device),
            generators=lambda *purpose: generator(plan.seed, "strategy", task, *purpose),
            online=plan.online_stream is not None,
        )
        try:
            strategy.begin_task(start)
        except ValueError as error:
            names = "+".join(each.name for each in plan.strategies)
            raise StateError(
                f"{layout.state(task - 1)} does not fit strategy {names}: {error}"
            ) from error
    return strategy


def _read_previous_state(plan: TrainPlan) -> State:
    """The state that the plan says this task starts from."""
    method = plan.method.name if plan.task > 1 else None
    # Splits of earlier tasks are no dependencies of the stage, and need not be here.
    return read_state(plan.task - 1, plan.previous, plan.backbone, method, need_splits=False)


def _select_task(source: Source, split: Split, at_least: int, inputs: Inputs) -> Selection:
    """The training images of a task."""
    images = open_images(source, "train", split, inputs)
    if len(images) < at_least:
        raise DataError(
            f"task {split.task} has {len(images)} images, fewer than train.batch_size "
            f"({at_least}); lower train.batch_size or num_tasks"
        )
    return images


def _select_past(source: Source, plan: TrainPlan, inputs: Inputs) -> Selection:
    """The training images of the task before."""
    try:
        return _select_task(source, read_split(plan.task - 1), 1, inputs)
    except DataError as error:
        names = "+".join(each.name for each in plan.strategies)
        raise DataError(
            f"strategy {names} looks back at the images of task {plan.task - 1} when task "
            f"{plan.task} begins: {error}"
        ) from error


def _restore_method(plan: TrainPlan, previous: State) -> Method:
    """The network as the previous task left it; new around the backbone for task 1."""
    path = layout.state(plan.task - 1)
    with seeded_initialization(plan.seed, "method"):
        backbone = build_backbone(plan.backbone)
        # Before the method is built around it: momentum networks begin as copies.
        load_module(backbone, previous.section(BACKBONE), path)
        if plan.freeze_until is not None:
            _freeze(backbone, plan.freeze_until)
        method = build_method(plan, backbone)
    if plan.task > 1:
        load_module(method, previous.section(METHOD), path)
    return method.to(memory_format=torch.channels_last)


def _freeze(backbone: Backbone, last: str) -> None:
    """Freeze the backbone as far as the plan says.

    Raises:
        RunError: it has no such part.
    """
    try:
        freeze_until(backbone, last)
    except ValueError as error:
        raise RunError(f"backbone.freeze_until: {error}") from error
