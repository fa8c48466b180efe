"""preset cost: the arithmetic that training a recipe takes, counted and not timed.

Of a step it counts matrix products and convolutions, forwards and backwards, those of the
frozen and of the momentum network too. It leaves out what is done number by number
(augmentation, BatchNorm, optimiser), reading images, and evaluation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch.utils.flop_counter import FlopCounterMode

from pipeline.artifacts.plan import part
from pipeline.building.data import normalisation
from pipeline.building.stand_in import begin
from pipeline.building.views import build_augment
from pipeline.config.registry.datasets import DATASETS
from pipeline.data.stream.tasks import evenly
from pipeline.errors import ParamsError
from pipeline.files.sealed_json import Json, dump_json
from pipeline.methods.base import Position
from pipeline.seeding import generator
from pipeline.strategies.base import Step

SAMPLE = 2  # images that a step is counted on; the count is scaled to the batch


@dataclass(frozen=True)
class Cost:
    """What training a stream takes.

    Attributes:
        steps: of each task.
        operations: floating-point operations of a step of each task; a multiplication and an
            addition are two.
    """

    steps: Sequence[int]
    operations: Sequence[float]

    @property
    def total(self) -> float:
        """Floating-point operations of all steps."""
        return sum(n * each for n, each in zip(self.steps, self.operations, strict=True))

    def hours(self, rate: float) -> float:
        """Return how long it takes at a sustained rate in TFLOP/s."""
        return self.total / (rate * 1e12) / 3600


def table(plans: Mapping[str, Mapping[str, Json | None]], rate: float) -> str:
    """Return a Markdown table, a row for each plan by its name.

    Args:
        plans: what ``pipeline.config.resolve.resolve`` gives.
        rate: TFLOP/s, an assumption of who asks.

    Raises:
        ParamsError: a data set's number of images is not known.
    """
    lines = [
        "| preset | steps | TFLOP a step, task 1 | later | PFLOP in all "
        f"| hours at {rate:g} TFLOP/s |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    known: dict[str, float] = {}
    for name, slots in plans.items():
        cost = count(name, slots, known)
        first, later = (each / 1e12 for each in (cost.operations[0], cost.operations[-1]))
        lines.append(
            f"| {name} | {sum(cost.steps)} | {first:.2f} | {later:.2f} | {cost.total / 1e15:.0f} "
            f"| {cost.hours(rate):.1f} |"
        )
    return "\n".join(lines)


def count(name: str, slots: Mapping[str, Json | None], known: dict[str, float]) -> Cost:
    """Return what the training of a plan takes.

    Args:
        name: of the recipe, for messages.
        slots: the plan.
        known: counts of steps by what shapes them; is added to.

    Raises:
        ParamsError: the data set's number of images is not known.
    """
    prepare = slots["prepare"]
    assert prepare is not None, "the plan has no prepare slot"
    sizes = _sizes(name, prepare)
    steps, operations = [], []
    for task, size in enumerate(sizes, start=1):
        # From task 2 on all tasks are alike.
        slot = slots[f"train_{min(task, 2)}"]
        assert slot is not None, "the plan has fewer tasks than it says"
        train = part(slot, "train")
        batch_size = cast(int, train["batch_size"])
        steps.append(size // batch_size * cast(int, train["epochs"]))
        shape = {key: slot.get(key) for key in ("dataset", "backbone", "method", "strategies")}
        key = dump_json({**shape, "task": min(task, 2)})
        if key not in known:
            known[key] = _image_operations(slot)
        operations.append(known[key] * batch_size)
    return Cost(steps, operations)


def _sizes(name: str, prepare: Json) -> list[int]:
    """Return the number of training images of each task."""
    dataset, tasks = part(prepare, "dataset"), cast(int, prepare["num_tasks"])
    kind, scenario = cast(str, dataset["name"]), prepare["scenario"]
    entry = DATASETS[kind]
    if entry.domain_images and scenario == "domain":
        given = cast(list[str] | None, part(dataset, "files")["domains"])
        domains = given or list(entry.domain_images)
        if set(domains) <= set(entry.domain_images):
            return [entry.domain_images[domain] for domain in domains[:tasks]]
    elif entry.train_images is not None and dataset["full"]:
        return [len(images) for images in evenly(range(entry.train_images), tasks)]
    whole = sorted(name for name, entry in DATASETS.items() if entry.train_images is not None)
    by_domain = sorted(name for name, entry in DATASETS.items() if entry.domain_images)
    raise ParamsError(
        f"preset cost: the images of {name} (dataset: {kind}, scenario: {scenario}) "
        f"cannot be counted without the files; known are {', '.join(whole)} in full and "
        f"{', '.join(by_domain)} by domain"
    )


def _image_operations(slot: Json) -> float:
    """Return the floating-point operations of a step for each image of the batch.

    What grows with the square of the batch, a contrastive loss's matrix of similarities, is
    counted for a batch of two: less than a thousandth of the whole.
    """
    augment = build_augment(slot)
    shape = (SAMPLE, cast(int, part(slot, "backbone")["channels"]), *[normalisation(slot)[0]] * 2)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator(0, "cost"))
    method, strategy = begin(slot, images, augment, SAMPLE, "cpu", "cost")
    method.train()
    strategy.train()
    at = Position(0, 1, 1)
    drawn = augment(images, generator(0, "cost"))
    with FlopCounterMode(display=False) as counter:
        views = strategy.mix(drawn, at)
        encoded = method.encode(views)
        terms = strategy.terms(Step(method, views, encoded, at)).values()
        loss = torch.stack([method.loss(views, encoded), *terms]).sum()
        torch.autograd.backward(loss)
    operations: int = counter.get_total_flops()
    return operations / SAMPLE
