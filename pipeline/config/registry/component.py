"""The entry of a component that params.yaml can name: a method, a strategy, a probe, ...

Each entry says where its class is and which options it takes, without importing it;
importing this module imports no torch. To add one: write its file, add its line in the
registry of its kind beside this file, give it a section in params.yaml if it has
options, and write its test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Component:
    """Something that params.yaml can choose by name.

    Attributes:
        path: ``module:class``, imported only when it is used.
        summary: one line for ``cassle list``.
        options: the type of each option in its section of params.yaml; the class takes
            them as keyword arguments of the same names.
        top_level: params from the top of params.yaml that the class takes as well.
        whole_stream: of a strategy: it learns all tasks at once.
        looks_back: of a strategy: it reads the images of the task before when a task begins.
        composes: of a strategy: it can be one of several, joined by ``+``.
        in_phases: of a strategy: it trains a task in several phases, each on all its images.
        from_first_task: of a strategy: it acts on task 1 too, which is then its own.
        without_boundaries: of a strategy: it acts in an online stream that tells of no boundary,
            from its first step.
        methods: of a strategy: the methods that it is defined for; none: all.
        package: of a logger: what it imports that not every installation has; in the extra of
            pyproject.toml that has the logger's name.
    """

    path: str
    summary: str
    options: Mapping[str, object] = field(default_factory=dict)
    top_level: tuple[str, ...] = ()
    whole_stream: bool = False
    looks_back: bool = False
    composes: bool = True
    in_phases: bool = False
    from_first_task: bool = False
    without_boundaries: bool = False
    methods: tuple[str, ...] = ()
    package: str = ""

    @property
    def module(self) -> str:
        """The module that defines the class."""
        return self.path.partition(":")[0]
