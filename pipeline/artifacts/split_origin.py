"""What the splits were cut by: the plan, and the params that decide how a stream is cut."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from pipeline import layout
from pipeline.artifacts.plans.files import plan_digest
from pipeline.artifacts.plans.prepare import PreparePlan
from pipeline.artifacts.split import FIRST
from pipeline.errors import DataError
from pipeline.files.sealed_json import digest, read_sealed, write_sealed
from pipeline.files.typed_json import as_json


def write_split_origin(plan: PreparePlan) -> None:
    """Write which plan the splits are of.

    Apart from the tasks' files: a param that moves no image must not train them again.
    """
    write_sealed(layout.SPLIT_ORIGIN, {"plan": plan_digest(plan), "cut": _describe_cut(plan)})


def was_cut_alike(plan: PreparePlan) -> bool:
    """Whether the splits were cut by the same params, but for lists that are appended to."""
    with suppress(DataError):
        held = read_sealed(layout.SPLIT_ORIGIN, DataError, FIRST) or {}
        return held.get("cut") == _describe_cut(plan)
    return False


def require_split_origin(plan: str) -> None:
    """Check that the splits are those of a plan.

    Args:
        plan: its digest.

    Raises:
        DataError: they are of another one, or nothing says of which.
    """
    origin = read_sealed(layout.SPLIT_ORIGIN, DataError, FIRST)
    if origin is None or origin.get("plan") != plan:
        raise DataError(f"the splits in {layout.SPLITS} are of another plan; {FIRST}")


def _describe_cut(plan: PreparePlan) -> str:
    """The digest of what decides how a stream is cut, but for lists that are appended to."""
    dataset = plan.dataset
    if dataset.files is not None:
        dataset = replace(dataset, files=replace(dataset.files, domains=None, folders=None))
    if dataset.transformed is not None:
        dataset = replace(dataset, transformed=replace(dataset.transformed, domains=()))
    stream = plan.stream
    order = stream.order or ()
    appended = plan.scenario != "class" or any(not isinstance(each, str | int) for each in order)
    appended = appended and not stream.looks_ahead
    drawn = as_json(replace(stream, num_tasks=0, split_seed=0, order=None))
    return digest(
        {
            "dataset": as_json(dataset),
            "scenario": plan.scenario,
            "split_seed": stream.split_seed,
            "evenly": None if appended else [stream.num_tasks, *order],
            # As long as nothing else is drawn, as it was before it could be.
            **({"drawn": drawn} if len(drawn) > 2 else {}),
        }
    )
