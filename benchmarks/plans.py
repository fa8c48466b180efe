"""The training that is measured, by params.yaml."""

from __future__ import annotations

from pipeline.artifacts.plans.train import TrainPlan
from pipeline.config import presets
from pipeline.config.read import parse_params, read_params_text
from pipeline.config.resolve import resolve
from pipeline.config.stream import count_tasks
from pipeline.layout import PARAMS


def plan_task_2(strategy: str, *changes: str) -> TrainPlan:
    """Return the training of task 2 of params.yaml, whatever its stream and strategy are.

    Args:
        strategy: instead of the one of params.yaml.
        changes: what else differs, as YAML, a preset for example; later ones prevail.

    Raises:
        ParamsError: they cannot be used.
    """
    text = read_params_text(PARAMS)
    for each in changes:
        text, _ = presets.merge(text, each)
    tasks = max(2, count_tasks(parse_params(text, str(PARAMS))))
    text, _ = presets.merge(text, f"strategy: {strategy}\nnum_tasks: {tasks}\n")
    return resolve(parse_params(text, f"{PARAMS} with strategy {strategy}")).train[2]
