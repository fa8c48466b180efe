"""States, which cross task boundaries: one safetensors file a task, loaded strictly.

The file's header carries what made it (params and code by digest, the split, the chain of
states before it), so a state that belongs to another run is refused, not used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline import layout
from pipeline.artifacts.plans.files import REMEDY
from pipeline.artifacts.plans.parts import BackbonePlan
from pipeline.artifacts.remedy import name_remedy
from pipeline.artifacts.split import find_split_digest
from pipeline.errors import RunError, StateError
from pipeline.files.sealed_json import Json, digest, read_sealed
from pipeline.files.tensors import read_tensor_header, read_tensors, write_tensors
from pipeline.files.typed_json import as_json, from_json, get_typed

if TYPE_CHECKING:
    from torch import Tensor

# Of keys of a header that would not say what differs.
NAMES = {"code": "version of the code", "plan": "set of params"}
METHOD, BACKBONE, STRATEGY = "method", "method.backbone", "strategy"
TRAINING = "training"  # the optimizer, and buffers of the method that a new task begins without


@dataclass(frozen=True)
class Origin:
    """Where a state comes from, as its header says.

    Attributes:
        task: the last task it has learnt; 0: what the stream starts from.
        plan: the digest of the plan that made it.
        seed: of the run.
        code: the fingerprint of the code that made it.
        backbone: its network.
        method: the name of the objective; None of state 0.
        strategy: the names of the strategies that made it, joined by ``+``; None: none did.
        parent: the content of the state it was made from.
        ancestors: the content of each state that it comes from, from state 0 to its parent.
        split: the digest of the split it has learnt from.
        task_order: the digest of the split of each task on the way, in order.
    """

    task: int
    plan: str
    seed: int
    code: str
    backbone: BackbonePlan
    ancestors: Sequence[str]
    task_order: Sequence[str]
    method: str | None = None
    strategy: str | None = None
    parent: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class State:
    """A network after a task.

    Attributes:
        tensors: ``method.*`` and ``strategy.*``; in an online stream without boundaries
            ``training.*``.
        content: SHA-256 of the tensors' names, types, shapes and bytes.
        origin: where it comes from.
    """

    tensors: Mapping[str, Tensor]
    content: str
    origin: Origin

    def section(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names begin with ``prefix.``, without it."""
        from pipeline.models.loading import select_below  # which imports torch

        return select_below(self.tensors, prefix)


def write_state(sections: Mapping[str, Mapping[str, Tensor]], origin: Origin) -> None:
    """Write the state after a task, whole or not at all.

    Args:
        sections: parameters and buffers by name, by section: ``METHOD``, ``BACKBONE``,
            ``STRATEGY`` or ``TRAINING``.
        origin: where it comes from, its task too.

    Raises:
        RunError: the file cannot be written.
    """
    tensors = {
        f"{prefix}.{name}": tensor
        for prefix, held in sections.items()
        for name, tensor in held.items()
    }
    write_tensors(layout.state(origin.task), tensors, as_json(origin))


def read_state(
    task: int,
    plan: str,
    backbone: BackbonePlan,
    method: str | None = None,
    *,
    need_splits: bool = True,
) -> State:
    """The state after a task, once it is known to be the expected one.

    Args:
        task: the last task it has learnt; 0: what the stream starts from.
        plan: the digest of the plan that has to have made it.
        backbone: the network it has to hold.
        method: the objective that has to have made it; None: any.
        need_splits: whether the splits it has learnt from must be here to compare; else those
            that are here are compared.

    Raises:
        StateError: missing, damaged, or of another origin.
        PipelineError: a plan or a split is damaged.
    """
    path, remedy = layout.state(task), _name_remedy(task)
    tensors, header = read_tensors(path, StateError, remedy)
    splits = [find_split_digest(number) for number in range(1, task + 1)]
    _require_origin(header, task, plan, backbone, method, splits, need_splits)
    return _typed(tensors, header, f"{path} is of another version", remedy)


def read_state_content(task: int, plan: str, backbone: BackbonePlan, splits: Sequence[str]) -> str:
    """The content of the state after a task, by its header; its tensors are not read.

    Errors are those of ``read_state``.

    Args:
        task: as ``read_state`` takes it.
        plan: likewise.
        backbone: likewise.
        splits: the digests of the splits that it has to have learnt from, in order.
    """
    header = read_tensor_header(layout.state(task), StateError, _name_remedy(task))
    _require_origin(header, task, plan, backbone, None, splits, need_splits=True)
    return str(header["content"])


def _require_origin(
    header: Json,
    task: int,
    plan: str,
    backbone: BackbonePlan,
    method: str | None,
    splits: Sequence[str | None],
    need_splits: bool,
) -> None:
    """Check that a header is that of the expected state.

    Raises:
        StateError: it is not.
    """
    expected: Json = {"task": task, "backbone": as_json(backbone)}
    if method is not None:
        expected["method"] = method
    if splits and (need_splits or splits[-1] is not None):
        expected["split"] = splits[-1]
    if need_splits or None not in splits:
        expected["task_order"] = list(splits)
    expected |= _describe("init" if task == 0 else f"train_{task}", plan)
    for key, value in expected.items():
        if header.get(key) != value:
            what = NAMES.get(key, key)
            raise StateError(
                f"{layout.state(task)} has another {what} than the plan: "
                f"{_pair(header.get(key), value)}; {_name_remedy(task)}"
            )


def _name_remedy(task: int) -> str:
    stage = "cassle init" if task == 0 else f"cassle train {task}"
    return name_remedy(stage)


def read_origin(task: int) -> tuple[Origin, str]:
    """Where the state after a task comes from, whichever run it is of, and its content.

    Raises:
        StateError: missing or damaged.
    """
    path = layout.state(task)
    tensors, header = read_tensors(path, StateError, "")
    state = _typed(tensors, header, f"{path} is of another version", "")
    return state.origin, state.content


def _typed(tensors: Mapping[str, Tensor], header: Json, problem: str, remedy: str) -> State:
    held = {key: value for key, value in header.items() if key not in ("format", "content")}
    try:
        return State(tensors, str(header["content"]), from_json(Origin, held))
    except ValueError as error:
        raise StateError(f"{problem} ({error}); {remedy}") from error


def _describe(maker: str, expected: str) -> Json:
    """The part of a header that names the plan of its maker, what tells most first.

    The plan's digest decides; the rest, of the plan as it is now, names what differs. The
    strategies come first: other ones use other code. The plan is not read as its class says, so
    that no stage depends on the classes of all makers.
    """
    plan = read_sealed(layout.plan(maker), RunError, REMEDY)
    if plan is None or digest(plan) != expected:
        return {"plan": expected}
    strategies = get_typed({"strategies": [], **plan}, tuple[dict[str, Any], ...], "strategies")
    names = "+".join(str(each["name"]) for each in strategies)
    known: Json = {"strategy": names} if names else {}
    return {**known, "seed": plan["seed"], "code": plan["code"], "plan": expected}


def _pair(found: object, expected: object) -> str:
    def short(value: object) -> str:
        if isinstance(value, str) and len(value) == 64:
            return value[:12]
        if isinstance(value, list):
            return f"[{', '.join(short(item) for item in value)}]"
        return json.dumps(value, sort_keys=True)

    return f"got {short(found)}, expected {short(expected)}"
