"""Strict loading of a module's tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from torch import Tensor, nn

from pipeline.errors import StateError

Value = TypeVar("Value")


def select_below(values: Mapping[str, Value], prefix: str) -> dict[str, Value]:
    """Return the values whose names begin with ``prefix.``, named without it.

    Args:
        values: e.g. tensors by dotted name.
        prefix: without the dot.
    """
    start = f"{prefix}."
    return {
        name.removeprefix(start): value for name, value in values.items() if name.startswith(start)
    }


def require_names(found: Iterable[str], expected: Iterable[str]) -> None:
    """Check that the names of tensors are exactly the expected ones.

    Raises:
        ValueError: names are missing or unknown.
    """
    found, expected = list(found), list(expected)
    problems = [f"{name} is missing" for name in expected if name not in found]
    problems += [f"{name} is unknown" for name in found if name not in expected]
    if problems:
        raise ValueError(", ".join(problems[:5]) + (", ..." if len(problems) > 5 else ""))


def load_strictly(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Load all of a module's parameters and buffers.

    Stricter than torch, which accepts a missing num_batches_tracked.

    Raises:
        ValueError: names or shapes differ.
    """
    require_names(tensors, module.state_dict())
    try:
        module.load_state_dict(tensors, strict=True)
    except RuntimeError as error:
        raise ValueError(" ".join(str(error).split())) from error


def load_module(module: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Load all of a module's parameters and buffers from a state file's tensors.

    Args:
        module: the module.
        tensors: its tensors by name.
        path: the state file, for the message.

    Raises:
        StateError: names or shapes differ.
    """
    try:
        load_strictly(module, tensors)
    except ValueError as error:
        raise StateError(f"{path} does not fit the network of the plan: {error}") from error
