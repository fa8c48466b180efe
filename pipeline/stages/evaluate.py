"""evaluate: what each state's features are worth, and the sheet of views.

Importing this module imports no torch: where nothing is new, nothing is evaluated.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from pipeline import layout
from pipeline.artifacts.evaluation import (
    RANDOM,
    Evaluation,
    Evaluations,
    find_evaluations,
    repeat_row,
    write_evaluations,
)
from pipeline.artifacts.features import read_features
from pipeline.artifacts.kept_rows import find_row, keep_row
from pipeline.artifacts.online import OnlineOrigin, require_online
from pipeline.artifacts.plans.evaluate import EvaluatePlan
from pipeline.artifacts.plans.files import plan_digest, require_plan
from pipeline.artifacts.plans.views import ViewsPlan
from pipeline.artifacts.split import Split, class_names, read_splits, split_digest
from pipeline.artifacts.state import read_state_content
from pipeline.artifacts.view_sheet import describe_sheet, read_view_strips
from pipeline.building.labelled_images import open_labelled_images
from pipeline.errors import RunError, StateError
from pipeline.evaluation.reach import count_reached
from pipeline.files.sealed_json import Json, digest
from pipeline.files.typed_json import as_json
from pipeline.runtime.before_torch import before_torch
from pipeline.runtime.device import Device
from pipeline.runtime.inputs import Inputs
from pipeline.runtime.shortages import explain_out_of_memory
from pipeline.stages.last_encoder import write_last_encoder
from pipeline.stages.transfer import evaluate_transfer
from pipeline.training.saved import remove_finished

logger = logging.getLogger(__name__)


def run(device: Device, inputs: Inputs, only: int | None = None) -> None:
    """Write the evaluation of each state, the last one's features, and the sheet of views.

    A state that was evaluated before, on the same images and by the same probes, is not
    evaluated again.

    Args:
        device: where to run.
        inputs: what the evaluations are made from.
        only: the number of the one state to evaluate, where others may be missing; None: all.

    Raises:
        PipelineError: the device, the splits, the images or a state are not there or not the
            plan's, or changed while the stage ran; a probe's options do not fit the features; or
            there is too little memory.
    """
    plan = require_plan(EvaluatePlan, "evaluate")
    splits = read_splits(plan.num_tasks)
    digests = [split_digest(split) for split in splits]
    found = find_evaluations()
    earlier = {} if found is None else found.by_state()
    contents = _read_contents(plan, digests, only)
    for task in contents:
        remove_finished(task, plan.states[task])
    if plan.random is not None and only is None:
        contents[RANDOM] = plan.random
    labelled = open_labelled_images(plan.dataset, plan.labelled, splits, inputs)
    beyond_splits = labelled.describe()
    reached = {task: _count_reached(plan, splits, task) for task in contents}
    keys = {
        task: _describe_inputs(plan, splits, digests, reached[task], task, contents, beyond_splits)
        for task in contents
        if task <= 0 or task - 1 in contents
    }
    rows = {
        task: row
        for task, key in keys.items()
        if (row := _find_row(key, earlier.get(task))) is not None
        and all(labelled.are_gone(number) for number in (*row.gone, *row.without_images))
    }
    missing = [task for task in keys if task not in rows and only in (None, task)]
    with explain_out_of_memory("evaluation", "end other programs, or choose another --device"):
        features = _find_features(plan, found, rows)
        lacking = features is None and only in (None, plan.last_state)
        if missing or lacking:
            before_torch()
            from pipeline.stages.evaluate_states import StateEvaluator

            evaluator = StateEvaluator(plan, splits, device, contents, labelled)
            for task in missing:
                before = earlier.get(task)
                _say_why_again(splits, reached[task], before, contents[task])
                rows[task], lines = evaluator.evaluate(task, reached[task], keys[task], before)
                inputs.require_unchanged()
                with suppress(RunError):  # without room it is not kept for another run
                    keep_row(rows[task])
                for line in lines:
                    logger.info(line)
            if only in (None, plan.last_state):
                features = evaluator.write_last_features()
        if labelled.shared:
            rows = {task: repeat_row(row, plan.num_tasks) for task, row in rows.items()}
        ordered = [row for task, row in sorted(rows.items()) if task != RANDOM]
        states = {task: content for task, content in contents.items() if task != RANDOM}
        transfer = evaluate_transfer(
            plan, splits, device, inputs, states, () if found is None else found.transfer, only
        )
        if only in (None, plan.last_state):
            write_last_encoder(plan, contents[plan.last_state])
        inputs.require_unchanged()
        others = [row for task, row in sorted(earlier.items()) if task not in rows]
        write_evaluations(
            Evaluations(
                plan_digest(plan),
                ordered,
                features or "",
                others,
                labelled.describe_folder(),
                rows.get(RANDOM),
                transfer,
            )
        )
        _draw_views(splits, inputs)


def _count_reached(plan: EvaluatePlan, splits: Sequence[Split], task: int) -> int:
    """The number of tasks, from the first, that a state is asked about."""
    classes = [split.classes for split in splits]
    return count_reached(task, plan.last_state, classes, one_ahead=plan.one_ahead)


def _read_contents(plan: EvaluatePlan, digests: Sequence[str], only: int | None) -> dict[int, str]:
    """The content of each state; where one is asked for, others may be missing or of another plan.

    Raises:
        StateError: one that is needed is missing, damaged or of another plan.
    """
    contents: dict[int, str] = {}
    for task, made_by in enumerate(plan.states):
        try:
            contents[task] = read_state_content(task, made_by, plan.backbone, digests[:task])
        except StateError:
            # The change of the features is from the state before.
            if only is None or only - 1 <= task <= only:
                raise
    return contents


def _describe_inputs(
    plan: EvaluatePlan,
    splits: Sequence[Split],
    digests: Sequence[str],
    reached: int,
    task: int,
    contents: Mapping[int, str],
    beyond_splits: Json,
) -> str:
    """The digest of all that the evaluation of a state is made from."""
    held = digests[:reached]
    asked = [*held, digests[-1]] if splits[0].scenario == "data" else held
    # Which other states there are changes nothing.
    made_by = contents[task] if task == RANDOM else plan.states[task]
    one = replace(plan, num_tasks=reached, states=(made_by,), random=None, transfer=None)
    return digest(
        {
            "plan": as_json(one),
            "state": contents[task],
            "before": None if task <= 0 else contents.get(task - 1),
            "splits": asked,
            "labelled": beyond_splits,
            **_describe_online(plan, digests, task),
        }
    )


def _describe_online(plan: EvaluatePlan, digests: Sequence[str], task: int) -> Json:
    """The content of the online classifier of a state, where a probe asks one.

    Raises:
        RunError: it is missing or not the plan's.
    """
    if plan.online is None or task <= 0:
        return {}
    origin = OnlineOrigin(plan.online, plan.states[task], digests)
    return {"online": require_online(task, origin)}


def _find_row(key: str, earlier: Evaluation | None) -> Evaluation | None:
    """The evaluation with a key, if it was made before."""
    if earlier is not None and earlier.key == key:
        return earlier
    return find_row(Evaluation, key)


def _find_features(
    plan: EvaluatePlan, found: Evaluations | None, rows: Mapping[int, Evaluation]
) -> str | None:
    """The content of the features that are here, if they are those of the last state."""
    if found is None or found.plan != plan_digest(plan):
        return None
    last = next((row for row in found.rows if row.after_task == plan.last_state), None)
    if last is None or last != rows.get(plan.last_state):
        return None
    try:
        read_features(found.features)
    except RunError:
        return None
    return found.features


def _say_why_again(
    splits: Sequence[Split], reached: int, earlier: Evaluation | None, content: str
) -> None:
    """Say it where a state is evaluated again because classes have come."""
    if earlier is None or earlier.state != content:
        return
    names = class_names(splits[:reached])
    new = [name for name in names if name not in earlier.class_names]
    if new and len(names) > len(earlier.class_names):
        logger.info(
            "state %d is evaluated again: its classifiers have to know %s too",
            earlier.after_task,
            ", ".join(new[:10]),
        )


def _draw_views(splits: Sequence[Split], inputs: Inputs) -> None:
    """Draw the sheet of views, unless it is there."""
    plan = require_plan(ViewsPlan, "views")
    made_from = describe_sheet(plan_digest(plan), splits)
    with suppress(RunError):
        if read_view_strips(layout.VIEWS, len(splits), made_from) is not None:
            return
    before_torch()
    from pipeline.stages.views import draw_views

    draw_views(plan, splits, made_from, inputs)
