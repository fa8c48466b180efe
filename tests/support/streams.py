"""Splits cut of a source that is made in a test."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.artifacts.plans.parts import DatasetPlan
from pipeline.artifacts.plans.prepare import PreparePlan
from pipeline.artifacts.split import Split
from pipeline.building.cut_stream import cut_stream
from pipeline.data.source import Source
from pipeline.data.stream.scenarios import StreamOptions


def plan_cut(source: Source, scenario: str, num_tasks: int, split_seed: int = 0) -> PreparePlan:
    """Return the plan of a cut of a source."""
    files = getattr(source, "options", None)
    classes = () if files is not None else source.class_names()
    dataset = DatasetPlan(
        "made", "made:Made", str(source.root), True, classes, 3, 16, [0.5], [0.5], files
    )
    return PreparePlan(dataset, scenario, StreamOptions(num_tasks, split_seed), num_tasks, "code")


def cut(
    source: Source,
    scenario: str,
    num_tasks: int,
    split_seed: int = 0,
    known: Sequence[Split] = (),
) -> list[Split]:
    """Return the split of each task of a source."""
    return cut_stream(plan_cut(source, scenario, num_tasks, split_seed), source, known)
