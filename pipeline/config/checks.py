"""Checks of params beyond each value's own type: names exist, and values fit together."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import TypeVar

from pipeline.config.registry.backbones import BACKBONES, ResNetBackbone, find_backbone
from pipeline.config.registry.component import Component
from pipeline.config.registry.loggers import LOGGERS
from pipeline.config.section import Choices
from pipeline.errors import closest, describe_missing, shorten
from pipeline.models.norms import Norm

Entry = TypeVar("Entry", bound=Component)


def find_named(key: str, name: str, components: Mapping[str, Entry]) -> Entry:
    """Return the registry entry of a name.

    Raises:
        ValueError: the name is unknown.
    """
    if name not in components:
        raise ValueError(f"{key}: {shorten(name)} is unknown; {closest(name[:80], components)}")
    return components[name]


def require_chosen(
    key: str, name: str, components: Mapping[str, Component], section: str, given: Choices
) -> None:
    """Check that a chosen component exists and that its section of params is given.

    Raises:
        ValueError: the component is unknown, or its section is missing.
    """
    component = find_named(key, name, components)
    if component.options and given.options_of(name) is None:
        raise ValueError(
            f"{section}.{name} is missing; add its options: {', '.join(component.options)}"
        )


def check_norm(name: str, norm: Norm) -> None:
    """Check that the backbone has a choice of norm where params choose one.

    Args:
        name: of the backbone, which is known to be there.
        norm: as the param.

    Raises:
        ValueError: it has norms of its own.
    """
    if norm != "batch" and not isinstance(find_backbone(name), ResNetBackbone):
        ours = [each for each, entry in BACKBONES.items() if isinstance(entry, ResNetBackbone)]
        raise ValueError(
            f"backbone.norm: {norm} is for {', '.join(ours)}, and {shorten(name)} has norms of its "
            "own; set backbone.norm: batch, which it passes over"
        )


def check_loggers(names: list[str]) -> None:
    """Check that the loggers exist, are there once, and have the packages that they need.

    Raises:
        ValueError: not so.
    """
    for name in names:
        package = find_named("train.loggers", name, LOGGERS).package
        if package and importlib.util.find_spec(package) is None:
            missing = describe_missing(f"train.loggers: {name}", f"the package {package}", name)
            raise ValueError(f"{missing}, or leave it out")
        if names.count(name) > 1:
            raise ValueError(f"train.loggers: {shorten(name)} is there twice in {shorten(names)}")
