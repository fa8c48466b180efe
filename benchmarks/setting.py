"""What is measured, as one process tells another."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pipeline.artifacts.plans.parts import DatasetPlan
from pipeline.artifacts.plans.train import TrainPlan
from pipeline.config import presets
from pipeline.config.read import parse_params, read_params_text
from pipeline.config.resolve import resolve
from pipeline.config.stream import count_tasks
from pipeline.files.sealed_json import write_json
from pipeline.files.typed_json import as_json, from_json
from pipeline.layout import PARAMS


@dataclass(frozen=True)
class Setting:
    """What is measured, as a file tells another process.

    Attributes:
        own: the training of task 2.
        finetune: the same without a strategy.
        images: the data set whose images are at hand.
    """

    own: TrainPlan
    finetune: TrainPlan
    images: DatasetPlan


def write_setting(path: Path, setting: Setting) -> None:
    """Write a setting for another process."""
    write_json(path, as_json(setting))


def read_setting(path: Path) -> Setting:
    """A setting that another process has written."""
    return from_json(Setting, json.loads(path.read_text(encoding="utf-8")))


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
