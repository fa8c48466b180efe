"""The loggers of a task's training, opened."""

from __future__ import annotations

import logging
import os

from pipeline import layout
from pipeline.artifacts.plans.files import plan_digest, require_plan
from pipeline.artifacts.plans.report import ReportPlan
from pipeline.artifacts.plans.train import MachinePlan
from pipeline.artifacts.training_log import read_training_log
from pipeline.errors import PipelineError
from pipeline.runtime.git import git_revision
from pipeline.training.callbacks.epoch_logging import EpochLogging
from pipeline.training.loggers.guarded import GuardedLogger

speaker = logging.getLogger(__name__)


def open_loggers(
    machine: MachinePlan, task: int, steps: int, batch_size: int
) -> EpochLogging | None:
    """The callback that tells the run's loggers of each epoch; None: there is no logger.

    Args:
        machine: names the loggers.
        task: the number of the task, from 1.
        steps: of the task; also taken for those of an earlier task whose log is not here.
        batch_size: images of a step.

    Where the params of the run cannot be read, that is said and there are no loggers: they end no
    training.
    """
    if not machine.loggers:
        return None
    try:
        plan = require_plan(ReportPlan, "report")
    except PipelineError as error:
        speaker.warning("no loggers: %s; training goes on without them", error)
        return None
    folder, run = layout.main_checkout() / layout.RUN_LOGS, _name_run(plan)
    loggers = [
        GuardedLogger(each.name, each.path, folder / each.name, run, task)
        for each in machine.loggers
    ]
    params = {**plan.params, "run": run, "git_revision": git_revision()}
    before = sum(_count_steps(earlier, steps) for earlier in range(1, task))
    return EpochLogging(loggers, params, before, batch_size)


def _name_run(plan: ReportPlan) -> str:
    """The name of DVC's experiment; of another run: method, strategy, seed and a digest of all."""
    params = plan.params
    named = f"{params['method']}-{params['strategy']}-seed_{params['seed']}-{plan_digest(plan)[:7]}"
    return os.environ.get("DVC_EXP_NAME") or named


def _count_steps(task: int, otherwise: int) -> int:
    try:
        timing, _ = read_training_log(task)
    except PipelineError:
        return otherwise
    return timing.steps
