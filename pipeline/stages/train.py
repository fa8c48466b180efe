"""train: one task, from the previous task's state to this one's."""

from __future__ import annotations

import logging
import os
import signal
import time
import warnings
from dataclasses import fields
from typing import cast

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from pipeline import layout
from pipeline.components import load_class
from pipeline.data.augment import Augment, ViewAugment
from pipeline.data.batches import training_batches
from pipeline.device import Device, Precision, choose_device, choose_precision
from pipeline.errors import DataError, InterruptedRunError, StateError
from pipeline.files import Json, digest, write_csv, write_json
from pipeline.learner import Learner
from pipeline.methods.base import Method
from pipeline.optim import LarsOptions, Optimisation
from pipeline.progress import TaskProgress
from pipeline.seeding import generator, initialisation
from pipeline.stages.slots import (
    build_backbone,
    open_source,
    part,
    read_split,
    require_same_images,
    require_slot,
    split_digest,
)
from pipeline.state import State, load_module, load_state, save_state
from pipeline.strategies.base import Strategy, TaskStart

# Lightning greets every run with the hardware it found and a tip.
logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)


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
    split = read_split(task)
    images = _images(slot, split, cast(int, part(slot, "train")["batch_size"]))
    method = _method(slot, task, previous)
    augment = _augment(slot)
    strategy = _strategy(slot, task, method, previous, augment)
    loader = training_batches(
        images, cast(int, part(slot, "train")["batch_size"]), cast(int, slot["seed"]), task
    )
    learner = Learner(
        method, strategy, augment, _optimisation(slot), len(loader), cast(int, slot["seed"]), task
    )
    seconds = _fit(learner, loader, where, precision)

    tensors = {f"method.{name}": value for name, value in method.state_dict().items()}
    tensors |= {f"strategy.{name}": value for name, value in strategy.carried().items()}
    origin: Json = {
        "task": task,
        "backbone": slot["backbone"],
        "method": part(slot, "method")["name"],
        "plan": digest(slot),
        "split": split_digest(task),
        "parent": previous.content,
    }
    columns = list(learner.epoch_rows[0])
    write_csv(layout.log(task), columns, learner.epoch_rows)
    timing: Json = {
        "seconds": round(seconds, 1),
        "steps": learner.total_steps,
        "device": str(where),
        "precision": precision,
    }
    write_json(layout.timing(task), timing)
    save_state(layout.state(task), tensors, origin)


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


def _images(slot: Json, split: Json, at_least: int = 1) -> Tensor:
    """Return a task's training images, uint8 ``(N, C, H, W)``."""
    source = open_source(slot)
    require_same_images(source, "train", split)
    images = torch.from_numpy(source.images("train")[cast(list[int], split["train"])])
    if len(images) < at_least:
        raise DataError(
            f"task {split['task']} has {len(images)} images, fewer than train.batch_size "
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


def _augment(slot: Json) -> Augment:
    dataset = part(slot, "dataset")
    recipes = []
    for view in cast(list[Json], slot["views"]):
        values = {field.name: view[field.name] for field in fields(ViewAugment)}
        values["crop_scale"] = tuple(cast(list[float], view["crop_scale"]))
        recipes.append(ViewAugment(**values))  # type: ignore[arg-type]
    mean, std = cast(list[float], dataset["mean"]), cast(list[float], dataset["std"])
    return Augment(recipes, cast(int, dataset["image_size"]), mean, std)


def _strategy(slot: Json, task: int, method: Method, previous: State, augment: Augment) -> Strategy:
    """Return the strategy, which has looked back; fine-tuning on task 1."""
    if task == 1:
        return Strategy()
    spec = part(slot, "strategy")
    seed = cast(int, slot["seed"])
    views = generator(seed, "strategy views", task)
    start = TaskStart(
        task=task,
        method=method,
        previous_images=lambda: _images(slot, read_split(task - 1)),
        augment=lambda images: augment(images, views),
    )
    with initialisation(seed, "strategy", task):
        strategy = cast(Strategy, load_class(cast(str, spec["class"]))(**part(spec, "options")))
        strategy.begin_task(start)
    try:
        strategy.resume_from(previous.section("strategy"))
    except ValueError as error:
        raise StateError(
            f"{layout.state(task - 1)} does not fit strategy {spec['name']}: {error}"
        ) from error
    return strategy


def _optimisation(slot: Json) -> Optimisation:
    given = part(slot, "train")
    names = [field.name for field in fields(Optimisation) if field.name != "lars"]
    lars = LarsOptions(**part(given, "lars")) if "lars" in given else None  # type: ignore[arg-type]
    return Optimisation(**{name: given[name] for name in names}, lars=lars)  # type: ignore[arg-type]


def _fit(
    learner: Learner, loader: DataLoader[Tensor], device: Device, precision: Precision
) -> float:
    """Run the Lightning Trainer; return the seconds it took."""
    # cuBLAS is deterministic only with a workspace of its own.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    with warnings.catch_warnings():
        # Images live in memory: worker processes would only copy them.
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        warnings.filterwarnings("ignore", ".*GPU available but not used.*")
        # The frozen network is in eval mode on purpose.
        warnings.filterwarnings("ignore", ".*module\\(s\\) in eval mode at the start.*")
        # Lightning's own use of torch, which its user cannot mend.
        warnings.filterwarnings("ignore", ".*LeafSpec.*is deprecated.*")
        trainer = pl.Trainer(
            max_epochs=learner.optimisation.epochs,
            accelerator="gpu" if device is Device.cuda else str(device),
            devices=1,
            precision=precision,
            callbacks=[TaskProgress(learner.optimisation.epochs)],
            deterministic=True if device is Device.cpu else "warn",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        interrupted = InterruptedRunError(
            f"interrupted; task {learner.task} is not saved, the tasks before it are: "
            "the same command begins it again"
        )
        started = time.monotonic()
        try:
            trainer.fit(learner, loader)
        except SystemExit as stop:
            # Lightning ends the process on Ctrl-C and SIGTERM: a half-trained network must
            # not be saved, and the exit code should say which it was.
            if trainer.received_sigterm:
                raise SystemExit(128 + signal.SIGTERM) from stop
            raise interrupted from stop
    if trainer.global_step < learner.total_steps:
        raise interrupted
    return time.monotonic() - started
