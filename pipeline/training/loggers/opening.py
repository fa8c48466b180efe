"""The loggers of a task's training, opened."""

from __future__ import annotations

import os
from collections.abc import Mapping

from pipeline import layout
from pipeline.artifacts.plans.files import require_plan
from pipeline.artifacts.plans.report import ReportPlan
from pipeline.artifacts.plans.train import MachinePlan
from pipeline.artifacts.training_log import read_training_log
from pipeline.errors import PipelineError
from pipeline.files.sealed_json import JsonValue
from pipeline.training.callbacks.epoch_logging import EpochLogging
from pipeline.training.loggers.guarded import GuardedLogger


def open_loggers(machine: MachinePlan, task: int, steps: int) -> EpochLogging | None:
    """The callback that tells the run's loggers of each epoch; None: there is no logger.

    Args:
        machine: names the loggers.
        task: the number of the task, from 1.
        steps: of the task; also taken for those of an earlier task whose log is not here.

    Raises:
        RunError: the plan is missing or damaged.
    """
    if not machine.loggers:
        return None
    params = require_plan(ReportPlan, "report").params
    folder, run = layout.main_checkout() / layout.RUN_LOGS, _name_run(params)
    loggers = [GuardedLogger(each.name, each.path, folder, run, task) for each in machine.loggers]
    before = sum(_count_steps(earlier, steps) for earlier in range(1, task))
    return EpochLogging(loggers, params, before)


def _name_run(params: Mapping[str, JsonValue]) -> str:
    """The name of DVC's experiment; of another run: method, strategy and seed."""
    named = f"{params['method']}-{params['strategy']}-seed_{params['seed']}"
    return os.environ.get("DVC_EXP_NAME") or named


def _count_steps(task: int, otherwise: int) -> int:
    try:
        timing, _ = read_training_log(task)
    except PipelineError:
        return otherwise
    return timing.steps
