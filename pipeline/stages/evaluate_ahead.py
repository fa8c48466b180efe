"""Evaluate the states that are there already, and draw the views, ahead of their stages."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

from pipeline import layout
from pipeline.artifacts.evaluation import read_evaluation
from pipeline.artifacts.plans.evaluate import EvaluatePlan
from pipeline.artifacts.plans.files import plan_digest, read_plan
from pipeline.errors import PipelineError, RunError
from pipeline.files.atomic import write_bytes
from pipeline.runtime import made_ahead as ahead
from pipeline.runtime.device import Device
from pipeline.runtime.dvc_process import dvc_command
from pipeline.stages import evaluate, views

logger = logging.getLogger(__name__)


def run(task: int, device: Device) -> None:
    """Put aside what the stages after an evaluation will write; what cannot be made is left out.

    Only where DVC runs the stage and was not asked for an evaluation by name: it will ask for
    the others next. This evaluation is put aside too until all are made, so that a signal
    meanwhile costs nothing of what is done.

    Args:
        task: the evaluation that this process was started for; its outputs are written.
        device: where to run.
    """
    command = dvc_command()
    if not command or any(word.startswith("evaluate") for word in command):
        return
    own: Path | None = None
    # Whatever goes wrong here, this stage has done its work, and the others will do theirs.
    try:
        missing = {ahead.folder_for(*stage): stage for stage in _missing(task)}
        if not missing:
            return
        _clear(keep=set(missing))
        if not _has_labels_from_elsewhere(read_plan(EvaluatePlan, f"evaluate_{task}")):
            own = ahead.folder_for("evaluate", task)
            for path in layout.outputs("evaluate", task):
                write_bytes(own / path.name, path.read_bytes())
            ahead.seal_precomputed(own, [])
        for folder, (stage, other) in missing.items():
            if not (folder / ahead.MANIFEST).is_file():
                _make(stage, other, device, folder)
    except Exception as error:
        logger.info("later stages do their own work: %s", error)
    if own is not None:
        shutil.rmtree(own, ignore_errors=True)


def _missing(task: int) -> Iterator[tuple[str, int]]:
    """Yield the stages whose outputs are not there as the plan has them."""
    for other in range(task + 1, layout.MAX_TASKS + 1):
        if layout.state(other).is_file() and not _is_done(other):
            yield "evaluate", other
    if not layout.VIEWS.exists():
        yield "views", 0


def _is_done(task: int) -> bool:
    """Return whether nothing is to be made ahead: the slot is empty, or its evaluation is there."""
    plan = read_plan(EvaluatePlan, f"evaluate_{task}")
    if plan is None or _has_labels_from_elsewhere(plan):
        return True
    try:
        read_evaluation(task, plan_digest(plan))
    except RunError:
        return False
    return True


def _has_labels_from_elsewhere(plan: EvaluatePlan | None) -> bool:
    """Whether evaluation uses data.labelled_root, which no split describes."""
    return plan is not None and plan.labelled is not None


def _clear(keep: set[Path]) -> None:
    """Remove what an earlier run has made of something else."""
    for folder in layout.AHEAD.glob("*"):
        if folder not in keep:
            shutil.rmtree(folder, ignore_errors=True)


def _make(stage: str, task: int, device: Device, folder: Path) -> None:
    """Write the outputs of a stage into a folder, unless the stage has to say what is wrong."""
    said: list[str] = []
    try:
        if stage == "views":
            views.draw_views(folder / layout.VIEWS.name)
        else:
            evaluation, features = layout.outputs(stage, task)
            said = evaluate.score(task, device, folder / evaluation.name, folder / features.name)
    except PipelineError:
        shutil.rmtree(folder, ignore_errors=True)
        return
    # Else something has changed meanwhile.
    if ahead.folder_for(stage, task) == folder:
        ahead.seal_precomputed(folder, said)
