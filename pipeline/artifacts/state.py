"""What crosses a task boundary: one safetensors file a task, saved and loaded strictly.

The file's header carries what made it (params and code by digest, the split, the chain of
states before it), so a state that belongs to another run is refused, not used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from torch import Tensor

from pipeline.errors import StateError
from pipeline.files.sealed_json import Json
from pipeline.files.tensors import read_tensors, write_tensors

# Of keys of a header that would not say what differs.
NAMES = {"code": "version of the code", "plan": "set of params"}


@dataclass(frozen=True)
class State:
    """Tensors by name, and where they come from.

    Attributes:
        tensors: ``method.*`` and ``strategy.*``.
        content: SHA-256 of the tensors' names, types, shapes and bytes.
        ancestors: the content of each state that it comes from, from state 0 to its parent.
        task_order: the digest of the split of each task on the way, in order.
    """

    tensors: dict[str, Tensor]
    content: str
    ancestors: tuple[str, ...] = ()
    task_order: tuple[str, ...] = ()

    def descent(self, split: str) -> Json:
        """Return what the header of a state says that is made from this one.

        Args:
            split: the digest of the split that it has learnt from.
        """
        return {
            "parent": self.content,
            "ancestors": [*self.ancestors, self.content],
            "split": split,
            "task_order": [*self.task_order, split],
        }

    def section(self, prefix: str) -> dict[str, Tensor]:
        """Return the tensors whose names begin with ``prefix.``, without it."""
        start = f"{prefix}."
        return {
            name.removeprefix(start): tensor
            for name, tensor in self.tensors.items()
            if name.startswith(start)
        }


def save_state(path: Path, tensors: Mapping[str, Tensor], origin: Json) -> None:
    """Write a state, whole or not at all.

    Args:
        path: where to.
        tensors: parameters and buffers by name.
        origin: what made them; ``load_state`` compares it.

    Raises:
        RunError: the file cannot be written.
    """
    write_tensors(path, tensors, origin)


def load_state(path: Path, origin: Json, remedy: str) -> State:
    """Read a state and check that it is the expected one.

    Args:
        path: where from.
        origin: the part of the header that must agree.
        remedy: what makes the right state, for the message.

    Raises:
        StateError: missing, damaged, or of another origin.
    """
    tensors, header = read_tensors(path, StateError, remedy)
    for key, expected in origin.items():
        found = header.get(key)
        if found != expected:
            what = NAMES.get(key, key)
            raise StateError(
                f"{path} has another {what} than the plan: {_pair(found, expected)}; {remedy}"
            )
    ancestors, task_order = (
        tuple(cast(list[str], header.get(key, []))) for key in ("ancestors", "task_order")
    )
    return State(tensors, cast(str, header["content"]), ancestors, task_order)


def _pair(found: object, expected: object) -> str:
    def short(value: object) -> str:
        if isinstance(value, str) and len(value) == 64:
            return value[:12]
        if isinstance(value, list):
            return f"[{', '.join(short(item) for item in value)}]"
        return json.dumps(value, sort_keys=True)

    return f"got {short(found)}, expected {short(expected)}"
