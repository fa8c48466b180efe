"""What crosses a task boundary: one safetensors file a task, saved and loaded strictly.

The file's header carries what made it (params and code by digest, the split, the
previous state), so a state that belongs to another run is refused, not used.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from pipeline.errors import StateError
from pipeline.files import Json, write_bytes
from pipeline.models.loading import load_strictly

FORMAT = 1
HEADER = "cassle"


@dataclass(frozen=True)
class State:
    """Tensors by name, and where they come from.

    Attributes:
        tensors: ``method.*`` and ``strategy.*``.
        content: SHA-256 of the tensors' names, types, shapes and bytes.
    """

    tensors: dict[str, Tensor]
    content: str

    def section(self, prefix: str) -> dict[str, Tensor]:
        """Return the tensors whose names begin with ``prefix.``, without it."""
        start = f"{prefix}."
        return {
            name.removeprefix(start): tensor
            for name, tensor in self.tensors.items()
            if name.startswith(start)
        }


def _content(tensors: Mapping[str, Tensor]) -> str:
    total = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def save_state(path: Path, tensors: Mapping[str, Tensor], origin: Json) -> None:
    """Write a state, whole or not at all.

    Args:
        path: where to.
        tensors: parameters and buffers by name.
        origin: what made them; ``load_state`` compares it.
    """
    plain = {
        name: tensor.detach().cpu().contiguous().clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    header = {"format": FORMAT, "content": _content(plain), **origin}
    text = json.dumps(header, sort_keys=True)
    write_bytes(path, save(plain, metadata={HEADER: text}))


def load_state(path: Path, origin: Json, remedy: str) -> State:
    """Read a state and check that it is the expected one.

    Args:
        path: where from.
        origin: the part of the header that must agree.
        remedy: what makes the right state, for the message.

    Raises:
        StateError: missing, damaged, or of another origin.
    """
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(HEADER)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        header = json.loads(text) if text is not None else {}
        if not isinstance(header, dict):
            raise ValueError(f"its header is a {type(header).__name__}, expected an object")
    except FileNotFoundError:
        raise StateError(f"{path} is missing; {remedy}") from None
    except (OSError, SafetensorError, ValueError) as error:
        raise StateError(f"{path} is not a state or is damaged ({error}); {remedy}") from error
    if header.get("format") != FORMAT:
        raise StateError(f"{path} has format {header.get('format')}, expected {FORMAT}; {remedy}")
    for key, expected in origin.items():
        found = header.get(key)
        if found != expected:
            raise StateError(
                f"{path} has another {key} than the plan: {_pair(found, expected)}; {remedy}"
            )
    content = _content(tensors)
    if header.get("content") != content:
        raise StateError(f"{path} is damaged: its tensors do not match its checksum; {remedy}")
    return State(tensors, content)


def _pair(found: object, expected: object) -> str:
    def short(value: object) -> str:
        if isinstance(value, str) and len(value) == 64:
            return value[:12]
        return json.dumps(value, sort_keys=True)

    return f"got {short(found)}, expected {short(expected)}"


def load_module(module: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Load all of a module's parameters and buffers, no more and no less.

    Raises:
        StateError: names or shapes differ.
    """
    try:
        load_strictly(module, tensors)
    except ValueError as error:
        raise StateError(f"{path} does not fit the network of the plan: {error}") from error
