"""Load a module's tensors, no more and no less."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor, nn


def require_names(found: Iterable[str], expected: Iterable[str]) -> None:
    """Check that tensors are exactly those that are expected.

    Raises:
        ValueError: some are missing or unknown.
    """
    found, expected = list(found), list(expected)
    problems = [f"{name} is missing" for name in expected if name not in found]
    problems += [f"{name} is unknown" for name in found if name not in expected]
    if problems:
        raise ValueError(", ".join(problems[:5]) + (", ..." if len(problems) > 5 else ""))


def load_strictly(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Load all of a module's parameters and buffers.

    Stricter than torch, which makes up a missing num_batches_tracked.

    Raises:
        ValueError: names or shapes differ.
    """
    require_names(tensors, module.state_dict())
    try:
        module.load_state_dict(tensors, strict=True)
    except RuntimeError as error:
        raise ValueError(" ".join(str(error).split())) from error
