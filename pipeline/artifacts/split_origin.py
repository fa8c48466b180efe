"""What the splits were cut by: the plan, and the params that decide how a stream is cut."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from pipeline import layout
from pipeline.artifacts.plans.files import plan_digest
from pipeline.artifacts.plans.parts import DatasetPlan
from pipeline.artifacts.plans.prepare import PreparePlan
from pipeline.artifacts.split import FIRST
from pipeline.errors import DataError
from pipeline.files.sealed_json import digest, read_sealed, write_sealed
from pipeline.files.typed_json import as_json


def write_split_origin(plan: PreparePlan) -> None:
    """Write which plan the splits are of.

    Apart from the tasks' files: a param that moves no image must not train them again.
    """
    write_sealed(
        layout.SPLIT_ORIGIN,
        {
            "plan": plan_digest(plan),
            "cut": _describe_cut(plan),
            "images": _describe_images(plan),
        },
    )


def was_cut_alike(plan: PreparePlan, *, same_tasks: bool) -> bool:
    """Whether the splits were cut by the same params, or by others that divide images alike.

    Args:
        plan: of the stream as it is now.
        same_tasks: whether each task that was cut is of the classes, or is the domain or the
            folder, that it was.
    """
    with suppress(DataError):
        held = read_sealed(layout.SPLIT_ORIGIN, DataError, FIRST) or {}
        if held.get("cut") == _describe_cut(plan):
            return True
        return same_tasks and held.get("images") == _describe_images(plan)
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
    stream = plan.stream
    order = stream.order or ()
    appended = plan.scenario != "class" or any(not isinstance(each, str | int) for each in order)
    appended = appended and not stream.looks_ahead
    drawn = as_json(replace(stream, num_tasks=0, split_seed=0, order=None))
    return digest(
        {
            "dataset": as_json(_leave_out_lists(plan.dataset)),
            "scenario": plan.scenario,
            "split_seed": stream.split_seed,
            "evenly": None if appended else [stream.num_tasks, *order],
            # As long as nothing else is drawn, as it was before it could be.
            **({"drawn": drawn} if len(drawn) > 2 else {}),
        }
    )


def _describe_images(plan: PreparePlan) -> str:
    """The digest of what decides the images of a stream, whichever classes a task is of.

    Where images are drawn for a task, be they a random part or a share, all that draws them counts.
    """
    drawn = plan.scenario == "data" or plan.stream.looks_ahead
    return digest(
        {
            "dataset": as_json(_leave_out_lists(plan.dataset)),
            "scenario": plan.scenario,
            "stream": as_json(plan.stream) if drawn else None,
        }
    )


def _leave_out_lists(dataset: DatasetPlan) -> DatasetPlan:
    """A data set without the lists of domains and folders."""
    if dataset.files is not None:
        dataset = replace(dataset, files=replace(dataset.files, domains=None, folders=None))
    if dataset.transformed is not None:
        dataset = replace(dataset, transformed=replace(dataset.transformed, domains=()))
    return dataset
