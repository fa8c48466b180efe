"""Keep out what torch and Lightning import and no stage uses, until somebody asks for it.

Every optimiser of torch imports its compiler (``torch._dynamo``, with sympy and more) to
switch it off for its own functions, and Lightning imports all of torchmetrics (with scipy,
matplotlib and torchvision) for the name of one class: together they take twice as long as
torch itself, in each stage's process. Here a module stands in for each. It knows the few names
that are needed, and imports the real one as soon as anything else is asked of it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from importlib.machinery import ModuleSpec
from importlib.metadata import version
from importlib.util import find_spec
from types import ModuleType
from typing import Any

DYNAMO, TORCHMETRICS = "torch._dynamo", "torchmetrics"


class Deferred(ModuleType):
    """A package that is imported when more is asked of it than it knows.

    Args:
        spec: of the real package.
        known: the attributes that need no import.
    """

    def __init__(self, spec: ModuleSpec, known: Mapping[str, object]) -> None:
        super().__init__(spec.name)
        # Its submodules are found, and can be imported by themselves.
        self.__spec__, self.__path__ = spec, list(spec.submodule_search_locations or ())
        vars(self).update(known)

    def __getattr__(self, name: str) -> object:
        """Import the real package and return what it has."""
        # The import system, inspect and warnings look for these in every module there is.
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


class OptimizedModule:
    """What ``torch.compile`` returns, of which there is none as long as nothing is compiled."""


class Metric:
    """Stands for torchmetrics' class, of which Lightning's own subclass logs by ``self.log``."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        raise RuntimeError(
            "self.log needs torchmetrics, which stages do not import: return a loss term by name "
            "(Strategy.terms), or import torchmetrics at the top of pipeline/fit.py"
        )


def _as_it_is(
    function: Callable[..., Any] | None = None, *args: object, **kwargs: object
) -> Callable[..., Any]:
    """Stand for ``torch._dynamo.disable`` where nothing is compiled."""
    return _as_it_is if function is None else function


def _nothing(*args: object, **kwargs: object) -> None:
    """Stand for ``torch._dynamo.graph_break`` where nothing is compiled."""


def defer() -> None:
    """Let deferred modules stand in for those that are not imported yet.

    For processes that train or evaluate: nothing there is compiled or exported. Before torch
    and Lightning are imported.
    """
    _stand_in(
        DYNAMO,
        {"disable": _as_it_is, "graph_break": _nothing, "OptimizedModule": OptimizedModule},
    )
    # MetricCollection is asked for by name alone too.
    _stand_in(TORCHMETRICS, {"Metric": Metric, "MetricCollection": Metric})


def _stand_in(name: str, known: Mapping[str, object]) -> None:
    if name in sys.modules:
        return
    spec = find_spec(name)
    if spec is None:
        return
    if name == TORCHMETRICS:
        known = {**known, "__version__": version(name)}
    module = Deferred(spec, known)
    sys.modules[name] = module
    parent, _, last = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], last, module)
