"""Evaluate the states that are there already, and draw the views, ahead of their stages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pipeline import ahead, layout
from pipeline.device import Device
from pipeline.errors import PipelineError, RunError
from pipeline.files import digest, read_sealed
from pipeline.stages import evaluate, views
from pipeline.stages.slots import read_slot


def run(task: int, device: Device) -> None:
    """Put aside what the stages after an evaluation will write; what cannot be made is left out.

    Only where DVC runs the stage: it will ask for the others next.

    Args:
        task: the evaluation that this process was started for.
        device: where to run.
    """
    if "DVC_STAGE" not in os.environ:
        return
    # Of an earlier run that was stopped.
    shutil.rmtree(layout.AHEAD, ignore_errors=True)
    for stage, other in _missing(task):
        # Its own stage will say what is wrong.
        with suppress(PipelineError, OSError):
            folder = ahead.place(stage, other)
            ahead.put(folder, _make(stage, other, device, folder))


def _missing(task: int) -> Iterator[tuple[str, int]]:
    """Yield the stages whose outputs are not there as the plan has them."""
    for other in range(task + 1, layout.MAX_TASKS + 1):
        if layout.state(other).is_file() and not _is_done(other):
            yield "evaluate", other
    if not layout.VIEWS.exists():
        yield "views", 0


def _is_done(task: int) -> bool:
    """Return whether a slot is empty or its evaluation is of the current plan."""
    slot = read_slot(f"evaluate_{task}")
    if slot is None:
        return True
    try:
        found = read_sealed(layout.evaluation(task), RunError, "")
    except RunError:
        return False
    return found is not None and found.get("plan") == digest(slot)


def _make(stage: str, task: int, device: Device, folder: Path) -> list[str]:
    """Write the outputs of a stage into a folder; return what it says."""
    if stage == "views":
        views.draw(folder / layout.VIEWS.name)
        return []
    evaluation, features = layout.outputs(stage, task)
    return evaluate.score(task, device, folder / evaluation.name, folder / features.name)
