"""What is measured, as one process tells another, also one without the packages of the config."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pipeline.artifacts.plans.parts import DatasetPlan
from pipeline.artifacts.plans.train import TrainPlan
from pipeline.files.sealed_json import write_json
from pipeline.files.typed_json import as_json, from_json


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
