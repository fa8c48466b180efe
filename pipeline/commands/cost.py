"""preset cost: the arithmetic that training a recipe takes, counted and not timed.

Of a step it counts matrix products and convolutions, forwards and backwards, those of the
frozen and of the momentum network too. It leaves out what is done number by number
(augmentation, BatchNorm, optimiser), reading images, and evaluation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from pipeline.artifacts.plans.prepare import PreparePlan
from pipeline.artifacts.plans.train import TrainPlan
from pipeline.building.stand_in import begin_stand_in, lay_out, sum_losses
from pipeline.building.training import build_strategy
from pipeline.building.training import count_steps as count_training_steps
from pipeline.building.views import build_augment
from pipeline.config.registry.datasets import DATASETS
from pipeline.config.resolve import Plans
from pipeline.data.stream.division import divide_evenly
from pipeline.data.stream.lengths import draw_shares
from pipeline.data.stream.scenarios import choose_classes
from pipeline.errors import ParamsError
from pipeline.files.sealed_json import dump_json
from pipeline.files.typed_json import as_json
from pipeline.methods.base import Position
from pipeline.seeding import generator
from pipeline.strategies.base import Step

SAMPLE = 2  # images that a step is counted on; the count is scaled to the batch


@dataclass(frozen=True)
class Cost:
    """The steps and operations of training a stream.

    Attributes:
        steps: of each task, or of all at once.
        operations: floating-point operations of a step of each; a multiplication and an addition
            are two.
    """

    steps: Sequence[int]
    operations: Sequence[float]

    @property
    def total(self) -> float:
        """Floating-point operations of all steps."""
        return sum(n * each for n, each in zip(self.steps, self.operations, strict=True))

    def hours(self, rate: float) -> float:
        """Return the hours at a sustained rate in TFLOP/s."""
        return self.total / (rate * 1e12) / 3600


def table(plans: Mapping[str, Plans], rate: float) -> str:
    """Return a Markdown table, a row for each plan by its name.

    Args:
        plans: of each recipe.
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
    for name, each in plans.items():
        cost = count(name, each, known)
        first, later = (each / 1e12 for each in (cost.operations[0], cost.operations[-1]))
        lines.append(
            f"| {name} | {sum(cost.steps)} | {first:.2f} | {later:.2f} | {cost.total / 1e15:.0f} "
            f"| {cost.hours(rate):.1f} |"
        )
    return "\n".join(lines)


def count(name: str, plans: Plans, known: dict[str, float]) -> Cost:
    """The steps and operations of the training of a plan.

    Args:
        name: of the recipe, for messages.
        plans: of its stages.
        known: counts of steps by what shapes them; is added to.

    Raises:
        ParamsError: the data set's number of images is not known.
    """
    steps, operations = count_steps(name, plans), []
    for task in range(1, len(steps) + 1):
        # From task 2 on all tasks are alike.
        plan = plans.train[min(task, len(plans.train), 2)]
        batch_size = plan.train.batch_size
        parts = (plan.dataset, plan.backbone, plan.method, *plan.strategies)
        key = dump_json([min(task, 2), *(as_json(part) for part in parts)])
        if key not in known:
            known[key] = _image_operations(plan)
        operations.append(known[key] * batch_size)
    return Cost(steps, operations)


def count_steps(name: str, plans: Plans) -> list[int]:
    """The steps of each training; arguments and errors as ``count``."""
    steps, sizes, first = [], count_images(name, plans.prepare), plans.train[1]
    if first.whole_stream is not None:
        return [count_training_steps(first, build_strategy(first), sizes).total]
    for task, size in enumerate(sizes, start=1):
        # From task 2 on all tasks are alike.
        plan = plans.train[min(task, len(plans.train), 2)]
        steps.append(count_training_steps(plan, build_strategy(plan), [size]).total)
    return steps


def count_images(name: str, plan: PreparePlan) -> list[int]:
    """The number of training images of each task; arguments and errors as ``count``."""
    dataset, tasks = plan.dataset, plan.stream.num_tasks
    entry = DATASETS[dataset.name]
    if entry.domain_images and plan.scenario == "domain":
        given = dataset.files.domains if dataset.files is not None else None
        domains = given or list(entry.domain_images)
        if set(domains) <= set(entry.domain_images):
            return [entry.domain_images[domain] for domain in domains[:tasks]]
    elif entry.train_images is not None and dataset.full:
        shares = draw_shares(tasks, plan.stream.imbalanced, plan.stream.split_seed)
        sizes = _count_by_task(entry.train_images, entry.classes, plan)
        return [round(share * size) for share, size in zip(shares, sizes, strict=True)]
    whole = sorted(name for name, entry in DATASETS.items() if entry.train_images is not None)
    by_domain = sorted(name for name, entry in DATASETS.items() if entry.domain_images)
    raise ParamsError(
        f"preset cost: the images of {name} (dataset: {dataset.name}, scenario: {plan.scenario}) "
        f"cannot be counted without the files; known are {', '.join(whole)} in full and "
        f"{', '.join(by_domain)} by domain"
    )


def _count_by_task(images: int, classes: Sequence[str], plan: PreparePlan) -> list[int]:
    """The number of training images of each task, where each class has as many."""
    tasks = plan.stream.num_tasks
    if plan.scenario == "class" and classes:
        groups = choose_classes(classes, plan.stream)
        return [images * len(group) // len(classes) for group in groups]
    return [len(part) for part in divide_evenly(range(images), tasks)]


def _image_operations(plan: TrainPlan) -> float:
    """Return the floating-point operations of a step for each image of the batch.

    What grows with the square of the batch, a contrastive loss's matrix of similarities, is
    counted for a batch of two: less than a thousandth of the whole.
    """
    augment = build_augment(plan.dataset, plan.views)
    size = plan.dataset.image_size
    shape = (SAMPLE, plan.backbone.channels, size, size)
    squares = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator(0, "cost"))
    images = lay_out(plan.dataset, squares)
    method, strategy = begin_stand_in(plan, images, augment, SAMPLE, "cpu", "cost")
    method.train()
    strategy.train()
    at = Position(0, 1, 1)
    drawn = augment(images, generator(0, "cost"))
    with FlopCounterMode(display=False) as counter:
        strategy.observe(images, at)
        views = strategy.mix(drawn, at)
        encoded = method.encode(views)
        step = Step(method, views, encoded, at)
        torch.autograd.backward(sum_losses(strategy, step))
    operations: int = counter.get_total_flops()
    return operations / SAMPLE
