"""The part of evaluate that asks each state about labelled data beside the stream.

Importing this module imports no torch: where nothing is new, nothing is evaluated.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from pipeline.artifacts.kept_rows import find_row, keep_row
from pipeline.artifacts.plans.evaluate import EvaluatePlan, TransferData, TransferPlan
from pipeline.artifacts.split import Split
from pipeline.artifacts.transfer import Transfer
from pipeline.building.labelled_images import ImagesFromElsewhere
from pipeline.building.transfer_images import list_transfer_images
from pipeline.errors import RunError
from pipeline.files.sealed_json import digest
from pipeline.files.typed_json import as_json
from pipeline.runtime.before_torch import before_torch
from pipeline.runtime.device import Device
from pipeline.runtime.inputs import Inputs

logger = logging.getLogger(__name__)


def evaluate_transfer(
    plan: EvaluatePlan,
    splits: Sequence[Split],
    device: Device,
    inputs: Inputs,
    contents: Mapping[int, str],
    earlier: Sequence[Transfer],
    only: int | None = None,
) -> list[Transfer]:
    """Evaluate the states on the data beside the stream; none where the plan names none.

    A state that was evaluated before on the same images, by the same probes and code, is not
    evaluated again.

    Args:
        plan: of the evaluations.
        splits: of all tasks.
        device: where to run.
        inputs: what the stage is made from.
        contents: the content of each state that is here.
        earlier: evaluations that are known.
        only: the number of the one state to evaluate; None: all.

    Raises:
        PipelineError: images or a state are missing or damaged, or the features are not finite.
    """
    if plan.transfer is None:
        return []
    images = list_transfer_images(plan, splits, inputs)
    known = {row.key: row for row in earlier}
    found = []
    evaluator = None
    for task, content in contents.items():
        for data in plan.transfer.data:
            key = _describe(plan, plan.transfer, data, content, images[data.name])
            row = known.get(key) or find_row(Transfer, key)
            if row is None and only in (None, task):
                if evaluator is None:
                    before_torch()
                    from pipeline.stages.evaluate_transfer import TransferEvaluator

                    evaluator = TransferEvaluator(plan, contents, images, device)
                row = evaluator.evaluate(task, data, key)
                inputs.require_unchanged()
                with suppress(RunError):  # without room it is not kept for another run
                    keep_row(row)
                said = ", ".join(f"{name} {value:.1f} %" for name, value in row.accuracy.items())
                logger.info("after task %d, on %s: %s", task, data.name, said)
            if row is not None:
                # The same state may have stood elsewhere in another run.
                found.append(replace(row, after_task=task, data=data.name))
    return found


def _describe(
    plan: EvaluatePlan,
    transfer: TransferPlan,
    data: TransferData,
    content: str,
    images: ImagesFromElsewhere,
) -> str:
    """The digest of all that the evaluation of a state on data is made from."""
    return digest(
        {
            "data": as_json(data),
            "images": images.describe(),
            "state": content,
            "backbone": as_json(plan.backbone),
            "probes": [as_json(probe) for probe in transfer.probes],
            "seed": plan.seed,
            "code": transfer.code,
        }
    )
