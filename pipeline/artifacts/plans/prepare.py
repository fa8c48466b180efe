"""The plan of ``prepare``."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.artifacts.plans.parts import DatasetPlan
from pipeline.data.stream.scenarios import StreamOptions


@dataclass(frozen=True)
class PreparePlan:
    """Which images there are and how they are cut into tasks.

    Attributes:
        dataset: the data set.
        scenario: ``class``, ``data``, ``domain`` or ``folders``.
        stream: the number of tasks, and what decides which images each holds.
        slots: the task slots of dvc.yaml.
        code: the fingerprint of the stage's code.
        whole_stream: whether one training learns all tasks.
    """

    dataset: DatasetPlan
    scenario: str
    stream: StreamOptions
    slots: int
    code: str
    whole_stream: bool = False
