"""Keep out what torch and Lightning import and no stage uses, until somebody asks for it.

Every optimiser of torch imports its compiler (``torch._dynamo``, ``torch._inductor``, with sympy
and more) to switch it off for its own functions, and Lightning imports all of torchmetrics
(with scipy, matplotlib and torchvision) for the name of one class: together they take twice as
long as torch itself, in each stage's process. Here a module stands in for each. It knows the few
names that are needed, and imports the real one as soon as anything else is asked of it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec, spec_from_loader
from types import ModuleType
from typing import Any

DYNAMO, INDUCTOR, TORCHMETRICS = "torch._dynamo", "torch._inductor", "torchmetrics"


class Deferred(ModuleType):
    """A module that is imported when more is asked of it than it knows.

    Args:
        name: of the real module.
        known: the attributes that need no import.
        together: the stand-ins that make way for their real modules when this one does; this
            one joins them.
    """

    def __init__(self, name: str, known: Mapping[str, object], together: list[Deferred]) -> None:
        super().__init__(name)
        # Without a place: submodules are found by Submodules.
        self.__path__: list[str] = []
        together.append(self)
        vars(self).update(known, _together=together)

    def __getattr__(self, name: str) -> object:
        """Import the real module and return what it has."""
        # The import system, inspect and warnings look for these in every module there is.
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.real(), name)

    def real(self) -> ModuleType:
        """Let the real modules take the places of this one and its companions."""
        together: list[Deferred] = vars(self)["_together"]
        for module in together:
            if sys.modules.get(module.__name__) is module:
                del sys.modules[module.__name__]
                parent, _, last = module.__name__.rpartition(".")
                if vars(sys.modules.get(parent, module)).get(last) is module:
                    delattr(sys.modules[parent], last)
        return importlib.import_module(self.__name__)


class Submodules(MetaPathFinder):
    """Find the submodules of deferred packages: in the real ones."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Import the real package; return its submodule, or where to look for it."""
        parent = sys.modules.get(fullname.rpartition(".")[0])
        if not isinstance(parent, Deferred):
            return None
        parent.real()
        # The package may have imported it.
        found = sys.modules.get(fullname)
        return find_spec(fullname) if found is None else spec_from_loader(fullname, Found(found))


class Found(Loader):
    """Give a module that is imported already.

    Args:
        module: which.
    """

    def __init__(self, module: ModuleType) -> None:
        self.module = module
        self.spec = module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the module."""
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        """Leave the module as it was."""
        module.__spec__ = self.spec


class OptimizedModule:
    """What ``torch.compile`` returns, of which there is none as long as nothing is compiled."""


class Metric:
    """Stands for torchmetrics' class, of which Lightning's own subclass logs by ``self.log``."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        raise RuntimeError(
            "self.log needs torchmetrics, which stages do not import: return a loss term by name "
            "(Strategy.terms), or import torchmetrics at the top of pipeline/cli.py"
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

    For processes that train or evaluate: nothing there is compiled or exported. Before
    Lightning is imported.
    """
    if DYNAMO not in sys.modules and INDUCTOR not in sys.modules and find_spec("torch"):
        import torch  # noqa: F401 - the stand-ins are its attributes

        compiler: list[Deferred] = []
        known = {"disable": _as_it_is, "graph_break": _nothing, "OptimizedModule": OptimizedModule}
        _stand_in(Deferred(DYNAMO, known, compiler))
        # torch.use_deterministic_algorithms tells the compiler: it sets an attribute there.
        _stand_in(Deferred(INDUCTOR, {}, compiler))
        _stand_in(Deferred(f"{INDUCTOR}.config", {}, compiler))
    try:
        found = version(TORCHMETRICS)
    except PackageNotFoundError:
        return
    if TORCHMETRICS not in sys.modules:
        # MetricCollection is asked for by name alone too.
        names = {"Metric": Metric, "MetricCollection": Metric, "__version__": found}
        _stand_in(Deferred(TORCHMETRICS, names, []))


def _stand_in(module: Deferred) -> None:
    sys.modules[module.__name__] = module
    parent, _, last = module.__name__.rpartition(".")
    if parent:
        setattr(sys.modules[parent], last, module)
    if not any(isinstance(finder, Submodules) for finder in sys.meta_path):
        sys.meta_path.insert(0, Submodules())
