"""Build what a slot of the plan names: the strategy and how the weights move."""

from __future__ import annotations

from dataclasses import fields
from functools import partial
from typing import cast

from pipeline.artifacts.plan import part
from pipeline.building.components import load_class
from pipeline.files.sealed_json import Json
from pipeline.methods.base import Method
from pipeline.models.backbone import Backbone
from pipeline.strategies.base import Strategy
from pipeline.training.optim import Optimization, OptimizerFactory


def build_method(slot: Json, backbone: Backbone) -> Method:
    """Return the method around a backbone that has its weights."""
    spec = part(slot, "method")
    return cast(Method, load_class(cast(str, spec["class"]))(backbone, **part(spec, "options")))


def build_strategy(slot: Json) -> Strategy:
    """Return the strategy, which has not looked back yet; fine-tuning on task 1 of a stream."""
    if "strategies" not in slot:
        return Strategy()
    parts = {
        cast(str, spec["name"]): cast(
            Strategy, load_class(cast(str, spec["class"]))(**part(spec, "options"))
        )
        for spec in cast(list[Json], slot["strategies"])
    }
    if "compose" in slot:
        return cast(Strategy, load_class(cast(str, slot["compose"]))(parts))
    return next(iter(parts.values()))


def build_optimization(slot: Json) -> Optimization:
    """Return how the weights move."""
    given = part(slot, "train")
    spec = part(given, "optimizer")
    kind = load_class(cast(str, spec["class"]))
    optimizer = cast(OptimizerFactory, partial(kind, **part(spec, "options")))
    names = [field.name for field in fields(Optimization) if field.name != "optimizer"]
    return Optimization(optimizer, **{name: given[name] for name in names})  # type: ignore[arg-type]
