"""A training on images that only stand in for its own, to measure or count it."""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch import Tensor

from pipeline.artifacts.plans.parts import DatasetPlan
from pipeline.artifacts.plans.train import TrainPlan
from pipeline.building.backbone import build_backbone
from pipeline.building.training import build_method, build_strategy
from pipeline.data.augmentation.augment import Augment
from pipeline.data.canvas import lay_on_canvases
from pipeline.methods.base import Method, Position
from pipeline.seeding import generator, seeded_initialization
from pipeline.strategies.base import Step, Strategy, TaskStart


def lay_out(dataset: DatasetPlan, squares: Tensor) -> Tensor:
    """Square images as the reader of a data set gives them: as they are, or on canvases.

    Args:
        dataset: whose images they stand in for.
        squares: uint8 ``(N, C, S, S)``.
    """
    if dataset.files is None or dataset.files.keep == "square":
        return squares
    return torch.from_numpy(lay_on_canvases(squares.numpy()))


def begin_stand_in(
    plan: TrainPlan, images: Tensor, augment: Augment, batch_size: int, device: str, purpose: str
) -> tuple[Method, Strategy]:
    """A new network and its strategy, which has looked back at it and at images, as of task 2.

    A memory that takes images in as they come has those of one step.

    Args:
        plan: of the training.
        images: uint8 ``(N, C, H, W)``, of the plan's size and channels, see ``lay_out``.
        augment: makes the views.
        batch_size: images a step.
        device: where the strategy keeps what it holds.
        purpose: names the random streams.
    """
    with seeded_initialization(0, purpose):
        backbone = build_backbone(plan.backbone)
        method = build_method(plan, backbone).to(memory_format=torch.channels_last)
        strategy = build_strategy(plan)
        strategy.begin_task(
            TaskStart(
                task=2,
                method=method,
                carried={},
                previous_images=images,
                augment=augment,
                normalize=augment.normalize,
                batch_size=batch_size,
                device=device,
                generators=lambda *more: generator(0, purpose, *more),
            )
        )
        method.to(device)
        strategy.to(device)
        stream = generator(0, purpose, "step")
        _show_step(method, strategy, images[:batch_size].to(device), augment, stream)
    return method, strategy


def sum_losses(strategy: Strategy, step: Step) -> Tensor:
    """Return what is minimised in a step, a scalar."""
    return torch.stack(list(strategy.losses(step).values())).sum()


@torch.no_grad()
def _show_step(
    method: Method, strategy: Strategy, images: Tensor, augment: Augment, stream: torch.Generator
) -> None:
    """Show the strategy a step on images; the network stays as it is."""
    shown, at = copy.deepcopy(method), Position(0, 1, 1)
    strategy.observe(images, at)
    views = strategy.mix(augment(images, stream), at)
    sum_losses(strategy, Step(shown, views, shown.encode(views), at))
    strategy.after_step(shown, replace(at, step=1))
