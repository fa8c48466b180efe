"""views: a few training images of each task and their views, for the page.

A stage of its own: the report must not load torch, and the views change with the
augmentation and the images alone, whatever is trained on them.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import torch

from pipeline import layout
from pipeline.artifacts.plan import require_slot
from pipeline.artifacts.split import read_splits
from pipeline.artifacts.view_sheet import sheet_png
from pipeline.building.data import open_source
from pipeline.building.split_images import require_images
from pipeline.building.views import build_augment
from pipeline.data.augmentation.sample_views import draw_strip, images_per_task
from pipeline.files.atomic import write_bytes
from pipeline.files.sealed_json import digest, dump_json
from pipeline.seeding import generator


def run() -> None:
    """Write the sheet of views.

    Raises:
        PipelineError: as ``draw_sheet`` says.
    """
    draw_sheet(layout.VIEWS)


def draw_sheet(path: Path) -> None:
    """Write the sheet of views to a file.

    Raises:
        PipelineError: the splits or the images are not there or not the plan's.
    """
    slot = require_slot("views")
    augment = build_augment(slot)
    source = open_source(slot)
    num_tasks = cast(int, slot["num_tasks"])
    strips = []
    for task, split in enumerate(read_splits(num_tasks), start=1):
        require_images(source, "train", split)
        held = cast(list[int], split["train"])[: images_per_task(num_tasks)]
        images = torch.from_numpy(source.images("train")[np.array(held)])
        # Not from the run's seed: another seed shows nothing new.
        strips.append(draw_strip(augment, images, generator(0, "sample views", task)))
    write_bytes(path, sheet_png(strips, dump_json({"plan": digest(slot)})))
