"""The files of the plans: one for each stage, or ``null`` for a task slot above num_tasks."""

from __future__ import annotations

from typing import TypeVar

from pipeline import layout
from pipeline.errors import RunError
from pipeline.files.sealed_json import digest, read_sealed, sealed_text
from pipeline.files.typed_json import as_json, from_json

P = TypeVar("P")
REMEDY = "run `cassle plan` first"
# `dvc repro` alone may take a plan for the current one, which was not made in its turn.
AGAIN = "run `cassle plan`, then `dvc repro` (or the stages in order)"


def read_plan(kind: type[P], name: str) -> P | None:
    """Return the plan of a stage; None of a slot above num_tasks.

    Args:
        kind: its class.
        name: of its file, ``train_2``, say.

    Raises:
        RunError: there is none, it is damaged, or another version has written it.
    """
    path = layout.plan(name)
    held = read_sealed(path, RunError, REMEDY)
    try:
        return None if held is None else from_json(kind, held)
    except ValueError as error:
        raise RunError(f"{path} is of another version ({error}); {REMEDY}") from error


def require_plan(kind: type[P], name: str) -> P:
    """Return the plan of a stage that must have one.

    Raises:
        RunError: as ``read_plan``, or the slot is above num_tasks.
    """
    plan = read_plan(kind, name)
    if plan is None:
        raise RunError(
            f"{name} is above num_tasks in the plan (or strategy: offline learns all tasks in "
            "task 1); raise num_tasks and run `cassle plan`"
        )
    return plan


def choose_state(task: int | None, last: int) -> int:
    """Return the number of the state that is asked for; by default the last one of the plan.

    Args:
        task: its number; None: none is named.
        last: the number of the plan's last state.

    Raises:
        RunError: the plan has no such state.
    """
    if task is None:
        return last
    if not 0 <= task <= last:
        raise RunError(f"there is no state {task} in the plan; name one from 0 to {last}")
    return task


def plan_text(plan: object | None) -> str:
    """Return the text of a plan's file; None: that of a slot above num_tasks."""
    return sealed_text(None if plan is None else as_json(plan))


def plan_digest(plan: object) -> str:
    """Return the SHA-256 of a plan, by which what was made from it names it."""
    return digest(as_json(plan))
