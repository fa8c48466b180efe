"""A training on images that only stand in for its own, to measure or count it."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.artifacts.plans.parts import DatasetPlan
from pipeline.artifacts.plans.train import TrainPlan
from pipeline.building.backbone import build_backbone
from pipeline.building.training import build_method, build_strategy
from pipeline.data.augmentation.augment import Augment
from pipeline.data.canvas import lay_on_canvases
from pipeline.methods.base import Method
from pipeline.seeding import generator, seeded_initialization
from pipeline.strategies.base import Strategy, TaskStart


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
    """A new network and its strategy, which has looked back at both, as of task 2.

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
    return method, strategy
