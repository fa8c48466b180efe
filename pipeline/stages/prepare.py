"""prepare: cut the data set into tasks, and write down which images each holds."""

from __future__ import annotations

import logging

from pipeline.artifacts.plans.files import require_plan
from pipeline.artifacts.plans.prepare import PreparePlan
from pipeline.artifacts.split import write_splits
from pipeline.artifacts.split_origin import write_split_origin
from pipeline.building.cut_stream import cut_stream
from pipeline.building.data import open_source
from pipeline.building.split_images import images_are_gone
from pipeline.building.stream_contents import read_known
from pipeline.reporting.task_contents import TaskContents, describe_tasks, remark_on_tasks

logger = logging.getLogger(__name__)


def run() -> None:
    """Write data/splits/task_1.json and on; slots above num_tasks hold ``null``.

    Raises:
        DataError: images or labels are missing or damaged, or cannot be cut as planned.
    """
    plan = require_plan(PreparePlan, "prepare")
    source = open_source(plan.dataset)
    splits = cut_stream(plan, source, read_known(plan))
    for held in describe_tasks(splits):
        logger.info(_line(held))
    for remark in remark_on_tasks(splits):
        logger.info(remark)
    gone = [split.task for split in splits if images_are_gone(source, split)]
    write_splits(splits, plan.slots, gone)
    write_split_origin(plan)


def _line(held: TaskContents) -> str:
    return f"task {held.task}: {held.name} ({held.train} training, {held.test} test images)"
