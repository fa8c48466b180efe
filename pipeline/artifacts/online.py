"""Online classifiers, one file a task, beside the states, which do not know of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline import layout
from pipeline.artifacts.plans.files import plan_digest
from pipeline.artifacts.plans.online import OnlinePlan
from pipeline.artifacts.plans.probing import ProbingPlan
from pipeline.artifacts.remedy import name_remedy
from pipeline.artifacts.split import Split, split_digest
from pipeline.errors import RunError
from pipeline.files.atomic import write_if_changed
from pipeline.files.sealed_json import Json, sealed_text, write_sealed
from pipeline.files.tensors import read_tensor_header, read_tensors, write_tensors
from pipeline.files.typed_json import as_json

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class OnlineOrigin:
    """What an online classifier was trained with and from.

    Attributes:
        plan: the digest of its plan.
        training: the digest of the plan of the task's training.
        splits: the digest of the split of each task whose images it has learnt from.
    """

    plan: str
    training: str
    splits: Sequence[str]


def write_online_splits(
    plan: OnlinePlan | None, probing: ProbingPlan | None, splits: Sequence[Split]
) -> None:
    """Write what the training of each task depends on for the sake of what is measured alone.

    Without either plan ``null`` is written, so that no training depends on the splits of other
    tasks. The probes look at no later task, and the state before names the splits of the earlier
    ones, so for their sake no split is named.

    Args:
        plan: of the classifier; None: there is none.
        probing: of the probes that are measured while tasks train; None: there are none.
        splits: of all tasks.

    Raises:
        RunError: the file cannot be written.
    """
    held: Json = {}
    if plan is not None:
        held = {"plan": plan_digest(plan), "splits": [split_digest(split) for split in splits]}
    if probing is not None:
        held["probing"] = plan_digest(probing)
    write_if_changed(layout.SPLIT_ONLINE, sealed_text(held or None))


def write_online(task: int, tensors: Mapping[str, Tensor] | None, origin: OnlineOrigin) -> None:
    """Write the classifier after a task, ``weight`` ``(C, F)`` and ``bias`` ``(C,)``.

    Args:
        task: its number.
        tensors: of the classifier; None: there is none, and ``null`` is written.
        origin: of the classifier.

    Raises:
        RunError: the file cannot be written.
    """
    path = layout.online(task)
    if tensors is None:
        write_sealed(path, None)
    else:
        write_tensors(path, tensors, as_json(origin))


def read_online(task: int, origin: OnlineOrigin) -> tuple[Tensor, Tensor]:
    """Return weight ``(C, F)`` and bias ``(C,)`` of the classifier after a task.

    Args:
        task: its number.
        origin: that it has to have.

    Raises:
        RunError: it is missing, damaged, or of another origin.
    """
    require_online(task, origin)
    tensors, _ = read_tensors(layout.online(task), RunError, _name_remedy(task))
    return tensors["weight"], tensors["bias"]


def require_online(task: int, origin: OnlineOrigin) -> str:
    """Check the origin of the classifier after a task by its header; return its content.

    Arguments and errors are those of ``read_online``.
    """
    path, remedy = layout.online(task), _name_remedy(task)
    header = read_tensor_header(path, RunError, remedy)
    for key, value in as_json(origin).items():
        if header.get(key) != value:
            raise RunError(f"{path}, the online classifier, has another {key}; {remedy}")
    return str(header["content"])


def _name_remedy(task: int) -> str:
    return name_remedy(f"cassle train {task}")
