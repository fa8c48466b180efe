"""Import what a plan names."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TypeVar

from pipeline.errors import RunError

T = TypeVar("T")


def load_class(path: str, kind: type[T]) -> Callable[..., T]:
    """The class at ``module:class``, within this package only.

    Args:
        path: as a plan or the registry has it.
        kind: what it must be a subclass of.

    Raises:
        RunError: the path leads out of the package or to no such class.
    """
    module, _, name = path.partition(":")
    if not module.startswith("pipeline."):
        raise RunError(f"'{path}' in the plan is not a class of this package; run `cassle plan`")
    found = getattr(importlib.import_module(module), name, None)
    if not (isinstance(found, type) and issubclass(found, kind)):
        raise RunError(f"'{path}' in the plan is not a {kind.__name__}; run `cassle plan`")
    return found
