"""views: a few training images of each task and their views, for the page.

A stage of its own: the report must not load torch, and the views change with the
augmentation and the images alone, whatever is trained on them.
"""

from __future__ import annotations

from pathlib import Path

import torch

from pipeline import layout
from pipeline.artifacts.plans.files import plan_digest, require_plan
from pipeline.artifacts.plans.views import ViewsPlan
from pipeline.artifacts.split import read_splits
from pipeline.artifacts.view_sheet import write_view_sheet
from pipeline.building.data import open_source
from pipeline.building.split_images import select_images
from pipeline.building.views import build_augment
from pipeline.data.augmentation.sample_views import draw_strip, images_per_task
from pipeline.seeding import generator


def run() -> None:
    """Write the sheet of views.

    Raises:
        PipelineError: as ``draw_views`` says.
    """
    draw_views(layout.VIEWS)


def draw_views(path: Path) -> None:
    """Write the sheet of views to a file.

    Raises:
        PipelineError: the splits or the images are not there or not the plan's.
    """
    plan = require_plan(ViewsPlan, "views")
    augment = build_augment(plan.dataset, plan.views)
    source = open_source(plan.dataset)
    strips = []
    for task, split in enumerate(read_splits(plan.num_tasks), start=1):
        held = select_images(source, "train", split)[: images_per_task(plan.num_tasks)]
        images = torch.from_numpy(source.images("train")[held])
        # Not from the run's seed: another seed shows nothing new.
        strips.append(draw_strip(augment, images, generator(0, "sample views", task)))
    write_view_sheet(path, strips, plan_digest(plan))
