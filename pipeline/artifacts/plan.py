"""Read a slot of the plan into typed pieces."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from pipeline import layout
from pipeline.errors import RunError
from pipeline.files.sealed_json import Json, JsonValue, digest, read_sealed

if TYPE_CHECKING:
    pass

RERUN_PLAN = "run `cassle plan` first"


def read_slot(name: str) -> Json | None:
    """Return a slot's resolved params; None above num_tasks.

    Raises:
        RunError: there is no plan, or it cannot be read.
    """
    return read_sealed(layout.plan(name), RunError, RERUN_PLAN)


def require_slot(name: str) -> Json:
    """Return a slot's resolved params where there must be some.

    Raises:
        RunError: there is no plan, or the slot is above num_tasks.
    """
    slot = read_slot(name)
    if slot is None:
        raise RunError(
            f"{name} is above num_tasks in the plan (or strategy: offline learns all tasks in "
            "task 1); raise num_tasks and run `cassle plan`"
        )
    return slot


def part(slot: Json, key: str) -> Json:
    """Return one of the objects in a slot."""
    value = slot[key]
    assert isinstance(value, dict), f"{key} in the plan is no object"
    return value


def made_by(name: str, plan: JsonValue) -> Json:
    """Return what the header of a state says of the slot that made it, what tells most first.

    Args:
        name: of the slot.
        plan: its digest, which decides; the rest is for the message where it differs.

    Raises:
        RunError: the slot's file is missing or damaged.
    """
    slot = read_slot(name)
    known: Json = {}
    if slot is not None and digest(slot) == plan:
        known = maker(slot)
    return {**known, "plan": plan}


def maker(slot: Json) -> Json:
    """Return what the header of a state says of its slot beside the digest, to name what differs.

    The strategies first: other ones use other code.
    """
    specs = cast(list[Json], slot.get("strategies", []))
    names = {"strategy": "+".join(cast(str, spec["name"]) for spec in specs)} if specs else {}
    return {**names, "seed": slot["seed"], "code": slot["code"]}
