"""The titles of a comparison's tables."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pipeline.files.sealed_json import Json, digest
from pipeline.reporting.comparing.run_groups import OWN_SPLIT, RunGroup
from pipeline.reporting.comparing.settings import differing_params, format_settings
from pipeline.reporting.task_names import name_dataset, name_stream

STREAM = ("dataset", "scenario", "num_tasks")
SPLIT_SEED = "split_seed"


def title_groups(groups: Sequence[RunGroup]) -> list[str]:
    """Return a title for each group: its stream, and the params in which the groups differ."""
    names = [
        name
        for name in differing_params(group.shared for group in groups)
        if name not in (*STREAM, SPLIT_SEED)
        or (name == SPLIT_SEED and not any(map(_has_own_splits, groups)))
    ]
    titles = []
    for group in groups:
        scenario, tasks = (group.shared.get(name, "?").strip('"') for name in STREAM[1:])
        parts = [f"{name_dataset(_first_params(group))}, {name_stream(scenario)}, {tasks} tasks"]
        parts += ["each seed on a split of its own"] if _has_own_splits(group) else []
        parts += [format_settings(group.shared, names)] if names else []
        titles.append("; ".join(parts))
    # The same params but other images or splits: the digests distinguish them.
    return [
        f"{title}; {_format_digests(group)}" if titles.count(title) > 1 else title
        for title, group in zip(titles, groups, strict=True)
    ]


def _has_own_splits(group: RunGroup) -> bool:
    return group.shared.get(SPLIT_SEED) == json.dumps(OWN_SPLIT)


def _first_params(group: RunGroup) -> Json:
    """Return the params of a group's first run; others may name another folder of its images."""
    return next(iter(group.cells[0].runs.values())).params


def _format_digests(group: RunGroup) -> str:
    images, splits = digest(group.identity["data"]), group.identity["splits"]
    return f"images {images[:7]}, splits {splits:.7}"
