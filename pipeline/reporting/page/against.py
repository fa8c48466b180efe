"""Checks that another run is comparable with this one, and the params that differ."""

from __future__ import annotations

from pipeline.errors import RunError
from pipeline.files.sealed_json import Json
from pipeline.reporting.comparing.runs import Run
from pipeline.reporting.results import Results
from pipeline.reporting.task_contents import identify_images, identify_tasks

# The params that people set to choose the tasks, for a message that names the one to change.
SPLIT_PARAMS = (
    "dataset",
    "scenario",
    "num_tasks",
    "class_order",
    "split_seed",
    "stream.imbalanced",
    "stream.blurred",
    "stream.irregular",
    "stream.superclasses",
    "data.domains",
    "data.folders",
    "data.classes",
)


def require_accuracies(results: Results) -> None:
    """Check that there is something to compare.

    Raises:
        RunError: no accuracy of this run was measured.
    """
    if not results.has_accuracies:
        raise RunError(
            "no accuracy of this run was measured, so nothing can stand beside it; "
            "leave --against out"
        )


def require_same_tasks(results: Results, other: Run) -> None:
    """Check that both runs have the same images in each task.

    Raises:
        RunError: they have not, so accuracies on a task cannot be compared.
    """
    refused = f"'{other.name}' cannot stand beside this run"
    same_tasks = other.identity["splits"] == identify_tasks(results.splits)
    for name in () if same_tasks else SPLIT_PARAMS:
        ours, theirs = _find_param(results.params, name), _find_param(other.params, name)
        if ours != theirs:
            raise RunError(
                f"{refused}: its {name} is {theirs}, here it is {ours}; choose a run with the "
                "same tasks"
            )
    if other.identity["data"] != identify_images(results.splits, results.labelled):
        raise RunError(f"{refused}: it was made of other images; choose a run on the same data")
    if not same_tasks:
        raise RunError(f"{refused}: its tasks hold other images; choose a run with the same tasks")


def _find_param(params: Json, dotted: str) -> object:
    """Return the value of a param by its dotted name; None if it is not there."""
    found: object = params
    for name in dotted.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found


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
