"""A few training images of each task and their views, for the page; ``evaluate`` draws them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from pipeline import layout
from pipeline.artifacts.plans.views import ViewsPlan
from pipeline.artifacts.split import Split
from pipeline.artifacts.view_sheet import write_view_sheet
from pipeline.building.data import open_source
from pipeline.building.split_images import images_are_gone, open_images
from pipeline.building.views import build_augment
from pipeline.data.augmentation.sample_views import choose_images, draw_strip, images_per_task
from pipeline.runtime.inputs import Inputs
from pipeline.seeding import generator


def draw_views(plan: ViewsPlan, splits: Sequence[Split], made_from: str, inputs: Inputs) -> None:
    """Write the sheet of views; the strip of a task whose images are gone is empty.

    Args:
        plan: how images are augmented.
        splits: of all tasks.
        made_from: the digest of all that the sheet is made from, which goes into the file.
        inputs: what the stage is made from.

    Raises:
        PipelineError: the images are not those of the splits, or an input has changed.
    """
    augment = build_augment(plan.dataset, plan.views)
    source = open_source(plan.dataset)
    strips = []
    for task, split in enumerate(splits, start=1):
        if images_are_gone(source, split):
            strips.append(np.zeros((0, 0, 4), np.uint8))
            continue
        shown = choose_images(len(split.train), split.labels["train"], images_per_task(len(splits)))
        images = torch.from_numpy(open_images(source, "train", split, inputs).reader()[shown])
        # Not from the run's seed: another seed shows nothing new.
        strips.append(draw_strip(augment, images, generator(0, "sample views", task)))
    inputs.require_unchanged()
    write_view_sheet(layout.VIEWS, strips, made_from)
