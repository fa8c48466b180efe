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
from pipeline.data.split_checks import require_images
from pipeline.data.split_files import read_splits
from pipeline.evaluation.sample_views import per_task, sheet_png, task_strip
from pipeline.files import digest, dump_json, write_bytes
from pipeline.seeding import generator
from pipeline.stages.augmentation import build_augment
from pipeline.stages.slots import open_source, require_slot


def run() -> None:
    """Write the sheet of views.

    Raises:
        PipelineError: as ``draw`` says.
    """
    draw(layout.VIEWS)


def draw(path: Path) -> None:
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
        held = cast(list[int], split["train"])[: per_task(num_tasks)]
        images = torch.from_numpy(source.images("train")[np.array(held)])
        # Not from the run's seed: another seed shows nothing new.
        strips.append(task_strip(augment, images, generator(0, "sample views", task)))
    write_bytes(path, sheet_png(strips, dump_json({"plan": digest(slot)})))
