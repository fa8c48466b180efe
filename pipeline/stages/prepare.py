"""prepare: cut the data set into tasks, and write down which images each holds."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from pipeline.artifacts.online import write_online_splits
from pipeline.artifacts.plans.files import read_plan, require_plan
from pipeline.artifacts.plans.online import OnlinePlan
from pipeline.artifacts.plans.prepare import PreparePlan
from pipeline.artifacts.plans.probing import ProbingPlan
from pipeline.artifacts.split import Split, split_digest, write_splits
from pipeline.artifacts.split_origin import write_split_origin
from pipeline.building.cut_stream import cut_stream
from pipeline.building.data import open_source
from pipeline.building.split_images import images_are_gone
from pipeline.building.stream_contents import read_known
from pipeline.building.stream_files import list_image_files
from pipeline.files.sealed_json import digest
from pipeline.reporting.task_contents import TaskContents, describe_tasks, remark_on_tasks
from pipeline.runtime.inputs import Inputs, digest_status

logger = logging.getLogger(__name__)


def run(inputs: Inputs) -> None:
    """Write data/splits/task_1.json and on; slots above num_tasks hold ``null``.

    Args:
        inputs: what the splits are made from, but for the images.

    Raises:
        DataError: images or labels are missing or damaged, or cannot be cut as planned.
        RunError: an input changed while the stage ran.
    """
    plan = require_plan(PreparePlan, "prepare")
    source = open_source(plan.dataset)
    status = digest_status(list_image_files(source))
    known = read_known(plan)
    splits = cut_stream(plan, source, known)

    def cut_again() -> str:
        return _digest(cut_stream(plan, open_source(plan.dataset), known))

    inputs.note(
        f"the images in {source.root} changed while prepare ran; "
        "leave them alone and run the same command again, or `dvc repro`",
        lambda: list_image_files(open_source(plan.dataset)),
        cut_again,
        (status, _digest(splits)),
    )
    for held in describe_tasks(splits):
        logger.info(_line(held))
    for remark in remark_on_tasks(splits):
        logger.info(remark)
    inputs.require_unchanged()
    gone = [split.task for split in splits if images_are_gone(source, split)]
    write_splits(splits, plan.slots, gone)
    online, probing = read_plan(OnlinePlan, "online"), read_plan(ProbingPlan, "probing")
    write_online_splits(online, probing, splits)
    write_split_origin(plan)


def _digest(splits: Sequence[Split]) -> str:
    return digest([split_digest(split) for split in splits])


def _line(held: TaskContents) -> str:
    return f"task {held.task}: {held.name} ({held.train} training, {held.test} test images)"
