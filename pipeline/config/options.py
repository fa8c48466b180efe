"""The components that params choose, with their options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pipeline.artifacts.plans.parts import ComponentPlan
from pipeline.config.params import Params
from pipeline.config.registry.backbones import BACKBONES, entry_name
from pipeline.config.registry.component import Component
from pipeline.config.registry.methods import METHODS
from pipeline.config.registry.optimizers import OPTIMIZERS
from pipeline.config.registry.probes import PROBES
from pipeline.config.registry.strategies import STRATEGIES
from pipeline.files.sealed_json import Json

Kind = Literal["method", "strategy", "backbone", "optimizer", "probe"]
REGISTRIES: Mapping[Kind, Mapping[str, Component]] = {
    "method": METHODS,
    "strategy": STRATEGIES,
    "backbone": BACKBONES,
    "optimizer": OPTIMIZERS,
    "probe": PROBES,
}


def plan_component(params: Params, kind: Kind, name: str) -> ComponentPlan:
    """The plan of a component that is in use: its class and its options."""
    return ComponentPlan(name, REGISTRIES[kind][name].path, options_of(params, kind, name))


def options_of(params: Params, kind: Kind, name: str) -> Json:
    """The options of a component that is in use."""
    sections = {
        "method": params.methods,
        "strategy": params.strategies,
        "backbone": params.backbone,
        "optimizer": params.train,
        "probe": params.evaluation,
    }
    entry = entry_name(name) if kind == "backbone" else name
    top_level: Json = {key: getattr(params, key) for key in REGISTRIES[kind][entry].top_level}
    if kind == "probe" and (section := PROBES[name].section):
        top_level |= getattr(params, section).model_dump()
    return top_level | (sections[kind].options_of(name) or {})
