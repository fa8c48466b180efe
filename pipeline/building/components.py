"""Import what a plan names."""

from __future__ import annotations

import importlib

from pipeline.errors import RunError


def load_class(path: str) -> type:
    """Return the class at ``module:class``, within this package only.

    Raises:
        RunError: the path leads out of the package or to no class.
    """
    module, _, name = path.partition(":")
    if not module.startswith("pipeline."):
        raise RunError(f"'{path}' in the plan is not a class of this package; run `cassle plan`")
    found = getattr(importlib.import_module(module), name, None)
    if not isinstance(found, type):
        raise RunError(f"'{path}' in the plan is not a class; run `cassle plan`")
    return found
