"""Checks that another run is comparable with this one, and the params that differ."""

from __future__ import annotations

from pipeline.errors import RunError
from pipeline.files.sealed_json import Json
from pipeline.reporting.comparing.runs import Run
from pipeline.reporting.results import Results
from pipeline.reporting.task_contents import identify_images

# The params that, with the images themselves, determine the tasks.
SPLIT_PARAMS = ("dataset", "scenario", "num_tasks", "split_seed")


def require_same_tasks(results: Results, other: Run) -> None:
    """Check that both runs have the same images in each task.

    Raises:
        RunError: they have not, so accuracies on a task cannot be compared.
    """
    for name in SPLIT_PARAMS:
        ours, theirs = results.params.get(name), other.params.get(name)
        if ours != theirs:
            raise RunError(
                f"'{other.name}' cannot stand beside this run: its {name} is {theirs}, here it "
                f"is {ours}; choose a run with the same tasks"
            )
    if other.identity.get("data") != identify_images(results.splits, results.labelled):
        raise RunError(
            f"'{other.name}' cannot stand beside this run: it was made of other images; "
            "choose a run on the same data"
        )


def different_params(ours: Json, theirs: Json, prefix: str = "") -> list[tuple[str, str, str]]:
    """Return the params that differ: dotted name, our value, their value, as text."""
    rows: list[tuple[str, str, str]] = []
    for name in dict.fromkeys([*ours, *theirs]):
        a, b = ours.get(name), theirs.get(name)
        if isinstance(a, dict) and isinstance(b, dict):
            rows += different_params(a, b, f"{prefix}{name}.")
        elif a != b or (name in ours) != (name in theirs):
            shown = [str(side[name]) if name in side else "not set" for side in (ours, theirs)]
            rows.append((f"{prefix}{name}", shown[0], shown[1]))
    return rows
