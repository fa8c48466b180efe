"""What each stage is made from, noted when it begins: before it imports its code.

Importing this module imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline import layout
from pipeline.artifacts.plans.evaluate import EvaluatePlan
from pipeline.artifacts.plans.files import AGAIN, choose_state, read_plan, require_plan
from pipeline.artifacts.plans.init import InitPlan
from pipeline.artifacts.plans.online import OnlinePlan
from pipeline.artifacts.plans.prepare import PreparePlan
from pipeline.artifacts.plans.probing import ProbingPlan
from pipeline.artifacts.plans.report import ReportPlan
from pipeline.artifacts.plans.sources import SourcesPlan
from pipeline.artifacts.plans.train import TrainPlan
from pipeline.artifacts.plans.views import ViewsPlan
from pipeline.artifacts.weights import find_weights
from pipeline.config.fingerprint import digest_sources, forget_sources, list_sources
from pipeline.config.stage_code import StagePlan, uses_code_of_now
from pipeline.errors import RunError
from pipeline.runtime.inputs import Inputs, digest_status


def note_plan(params: Path) -> Inputs:
    """Note what ``plan`` reads: params, task slots, and the code as it is."""
    inputs = Inputs("plan")
    inputs.note_files([params, layout.CHAIN])
    inputs.note(
        "the code changed while plan ran; run the same command again, or `dvc repro`",
        list_sources,
        digest_sources,
    )
    return inputs


def note_preparation() -> Inputs:
    """Note what ``prepare`` reads, but for the images.

    Raises:
        RunError: the plan is missing or damaged, or was made by other code.
    """
    plan = require_plan(PreparePlan, "prepare")
    known = [layout.split(task) for task in range(1, plan.slots + 1)]
    return _note(
        "prepare", {"prepare": plan}, [layout.plan("online"), layout.plan("probing"), *known]
    )


def note_initialization() -> Inputs:
    """Note what ``init`` reads; errors are those of ``note_preparation``."""
    plan = require_plan(InitPlan, "init")
    read = [] if plan.weights is None else [find_weights(plan.weights.source)]
    return _note("init", {"init": plan}, read)


def note_training(task: int) -> Inputs:
    """Note what training a task reads, but for the images.

    Errors are those of ``note_preparation``.
    """
    plan = require_plan(TrainPlan, f"train_{task}")
    online = read_plan(OnlinePlan, "online")
    read = {*plan.tasks, *({task - 1} if plan.looks_back else ())}
    before = [layout.state(task - 1)]
    if online is not None:
        read |= set(range(1, online.num_tasks + 1))
        before += [layout.SPLIT_INDEX, *([layout.online(task - 1)] if task > 1 else [])]
    splits = [layout.split(number) for number in sorted(read)]
    probing = read_plan(ProbingPlan, "probing")
    plans: dict[str, StagePlan] = {f"train_{task}": plan}
    if probing is not None:
        plans["probing"] = probing
    paths = [layout.plan("online"), layout.plan("probing"), *splits, *before]
    return _note(f"train {task}", plans, sorted({*paths} - {*map(layout.plan, plans)}))


def note_evaluation(only: int | None = None) -> Inputs:
    """Note what ``evaluate`` reads, but for the images.

    Args:
        only: the number of the one state to evaluate; None: all.

    Raises:
        RunError: there is no such state; or as ``note_preparation``.
    """
    plan, views = require_plan(EvaluatePlan, "evaluate"), require_plan(ViewsPlan, "views")
    choose_state(only, plan.last_state)
    splits = [layout.split(task) for task in range(1, plan.num_tasks + 1)]
    # The change of the features is from the state before.
    numbers = range(plan.last_state + 1) if only is None else range(max(0, only - 1), only + 1)
    states = [layout.state(task) for task in numbers]
    if plan.online is not None:
        states += [layout.online(task) for task in numbers if task > 0]
    return _note(
        "evaluate", {"evaluate": plan, "views": views}, [*splits, layout.SPLIT_INDEX, *states]
    )


def note_report() -> Inputs:
    """Note what ``report`` reads; errors are those of ``note_preparation``."""
    plan = require_plan(ReportPlan, "report")
    logs = [
        path
        for task in range(1, plan.last_state + 1)
        for path in (layout.log(task), layout.timing(task))
    ]
    read = [layout.SPLIT_INDEX, *logs, layout.EVALUATIONS, layout.FEATURES, layout.VIEWS]
    return _note("report", {"report": plan}, read)


def _note(stage: str, plans: dict[str, StagePlan], paths: Sequence[Path]) -> Inputs:
    """Note files and code, once the code is known to be that of the plans.

    Raises:
        RunError: it is not.
    """
    inputs = Inputs(stage)
    status = digest_status(list_sources())
    inputs.note_files([*map(layout.plan, plans), *paths])
    if not _is_planned_code(plans):
        raise RunError(
            f"the code that {stage} uses is not what it was when {layout.PLAN} was written; "
            + AGAIN
        )

    def identify() -> str:
        return "planned" if _is_planned_code(plans) else "other"

    changed = (
        f"the code that {stage} uses changed while it ran; put it back "
        "and run the same command again, or begin anew with the new code: " + AGAIN
    )
    inputs.note(changed, list_sources, identify, (status, "planned"))
    return inputs


def _is_planned_code(plans: dict[str, StagePlan]) -> bool:
    try:
        known = read_plan(SourcesPlan, "sources")
    except RunError:
        known = None
    # Quick, where no byte is another. Else comments may have changed, or code of other stages.
    if known is not None and known.code == digest_sources():
        return True
    forget_sources()
    try:
        return all(map(uses_code_of_now, plans.values()))
    except (OSError, SyntaxError, ValueError):
        return False  # it is being edited
