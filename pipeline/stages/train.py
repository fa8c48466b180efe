"""train: one task, from the previous task's state to this one's."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from typing import cast

import torch
from torch import Tensor

from pipeline import layout
from pipeline.components import load_class
from pipeline.data.augment import Augment
from pipeline.data.batches import training_batches
from pipeline.data.source import Source
from pipeline.data.splits import require_images
from pipeline.device import Device, choose_device, choose_precision
from pipeline.errors import DataError, StateError
from pipeline.files import Json, digest, file_digest, write_csv, write_sealed
from pipeline.fit import fit, make_deterministic
from pipeline.learner import Learner
from pipeline.methods.base import Method
from pipeline.optim import LarsOptions, Optimisation
from pipeline.seeding import generator, initialisation
from pipeline.stages.augmentation import build_augment
from pipeline.stages.slots import (
    build_backbone,
    open_source,
    part,
    read_split,
    require_slot,
    split_digest,
)
from pipeline.state import State, load_module, load_state, save_state
from pipeline.strategies.base import Strategy, TaskStart


def run(task: int, device: Device) -> None:
    """Train a task and write its state, its log and its timing.

    Raises:
        PipelineError: the device, the split, the images or the previous state are not there
            or not the plan's; or a loss is not finite.
    """
    slot = require_slot(f"train_{task}")
    where = choose_device(device)
    precision = choose_precision(cast(str, part(slot, "train")["precision"]), where)
    previous = _previous_state(slot, task)
    batch_size = cast(int, part(slot, "train")["batch_size"])
    source = open_source(slot)
    parts = [_images(source, number, batch_size) for number in _tasks(slot, task)]
    past_images = _images(source, task - 1) if "strategies" in slot and task > 1 else None
    method = _method(slot, task, previous)
    augment = build_augment(slot)
    make_deterministic(where)
    started = time.monotonic()
    strategy = _strategy(slot, task, method, previous, past_images, augment, where)
    looked_back = time.monotonic() - started
    optimisation = _optimisation(slot)
    counts = [len(images) for images in parts]
    epochs = strategy.epochs(counts, batch_size, optimisation.epochs)
    optimisation = replace(optimisation, epochs=epochs)
    loader = training_batches(torch.cat(parts), batch_size, cast(int, slot["seed"]), task)
    learner = Learner(
        method, strategy, augment, optimisation, len(loader), cast(int, slot["seed"]), task
    )
    seconds = fit(learner, loader, where, precision)

    tensors = {f"method.{name}": value for name, value in method.state_dict().items()}
    tensors |= {f"strategy.{name}": value for name, value in strategy.carried().items()}
    origin: Json = {
        "task": task,
        "backbone": slot["backbone"],
        "method": part(slot, "method")["name"],
        "plan": digest(slot),
        **previous.descent(digest(read_split(task))),
    }
    columns = list(learner.epoch_rows[0])
    write_csv(layout.log(task), columns, learner.epoch_rows)
    timing: Json = {
        "seconds": round(seconds, 1),
        "look_back_seconds": round(looked_back, 1),
        "steps": learner.total_steps,
        "device": str(where),
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
        origin |= {
            "method": part(slot, "method")["name"],
            "split": split_digest(before),
        }
    origin["plan"] = slot["previous"]
    stage = "cassle init" if before == 0 else f"cassle train {before}"
    return load_state(layout.state(before), origin, f"run `{stage}` first (or `dvc repro`)")


def _images(source: Source, task: int, at_least: int = 1) -> Tensor:
    """Return a task's training images, uint8 ``(N, C, H, W)``."""
    split = read_split(task)
    require_images(source, "train", split)
    images = torch.from_numpy(source.images("train")[cast(list[int], split["train"])])
    if len(images) < at_least:
        raise DataError(
            f"task {task} has {len(images)} images, fewer than train.batch_size "
            f"({at_least}); lower train.batch_size or num_tasks"
        )
    return images


def _method(slot: Json, task: int, previous: State) -> Method:
    """Return the network as the previous task left it; new around the backbone for task 1."""
    spec = part(slot, "method")
    with initialisation(cast(int, slot["seed"]), "method"):
        backbone = build_backbone(part(slot, "backbone"))
        # Before the method is built around it: momentum networks begin as copies.
        load_module(backbone, previous.section("method.backbone"), layout.state(task - 1))
        method = cast(
            Method, load_class(cast(str, spec["class"]))(backbone, **part(spec, "options"))
        )
    if task > 1:
        load_module(method, previous.section("method"), layout.state(task - 1))
    return method.to(memory_format=torch.channels_last)


def _strategy(
    slot: Json,
    task: int,
    method: Method,
    previous: State,
    past_images: Tensor | None,
    augment: Augment,
    device: Device,
) -> Strategy:
    """Return the strategy, which has looked back; fine-tuning on task 1 of a stream."""
    if "strategies" not in slot:
        return Strategy()
    specs = cast(list[Json], slot["strategies"])
    seed = cast(int, slot["seed"])
    with initialisation(seed, "strategy", task):
        parts = {
            cast(str, spec["name"]): cast(
                Strategy, load_class(cast(str, spec["class"]))(**part(spec, "options"))
            )
            for spec in specs
        }
        strategy = next(iter(parts.values()))
        if "compose" in slot:
            strategy = cast(Strategy, load_class(cast(str, slot["compose"]))(parts))
        if past_images is None:
            return strategy
        start = TaskStart(
            task=task,
            method=method,
            carried=previous.section("strategy"),
            previous_images=past_images,
            augment=augment,
            normalise=augment.normalise,
            batch_size=cast(int, part(slot, "train")["batch_size"]),
            device=str(device),
            generators=lambda *purpose: generator(seed, "strategy", task, *purpose),
        )
        try:
            strategy.begin_task(start)
        except ValueError as error:
            raise StateError(
                f"{layout.state(task - 1)} does not fit strategy {'+'.join(parts)}: {error}"
            ) from error
    return strategy


def _optimisation(slot: Json) -> Optimisation:
    given = part(slot, "train")
    names = [field.name for field in fields(Optimisation) if field.name != "lars"]
    lars = LarsOptions(**part(given, "lars")) if "lars" in given else None  # type: ignore[arg-type]
    return Optimisation(**{name: given[name] for name in names}, lars=lars)  # type: ignore[arg-type]
