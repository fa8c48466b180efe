"""The model of params.yaml, which is validated as a whole before anything runs.

There are no hidden defaults: every param must be given in params.yaml.
Importing this module imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import (
    Field,
    create_model,
    model_validator,
)

from pipeline.config.checks import (
    check_composition,
    check_probes,
    check_stream,
    find_named,
    require_chosen,
)
from pipeline.config.registry.backbones import BACKBONES
from pipeline.config.registry.component import Component, NonNegative
from pipeline.config.registry.datasets import DATASETS
from pipeline.config.registry.methods import METHODS
from pipeline.config.registry.probes import PROBES
from pipeline.config.registry.strategies import STRATEGIES
from pipeline.config.sections import AugmentParams, Data, LinearEval, Section, Seed, Train
from pipeline.layout import MAX_TASKS


def _options_model(name: str, component: Component) -> type[Section]:
    fields: dict[str, object] = {key: (kind, ...) for key, kind in component.options.items()}
    model: type[Section] = create_model(name, __base__=Section, **fields)  # type: ignore[call-overload]
    return model


def _choice_model(
    title: str, components: Mapping[str, Component], **fixed: object
) -> type[Section]:
    """Return a section model with one optional sub-section for each component with options."""
    fields: dict[str, object] = {
        name: (_options_model(name, component) | None, None)
        for name, component in components.items()
        if component.options
    }
    model: type[Section] = create_model(title, __base__=Section, **fixed, **fields)  # type: ignore[call-overload]
    return model


StemParam = Literal["conv3", "conv3_stride2", "conv7_maxpool"]
BackboneParams = _choice_model("Backbone", BACKBONES, name=(str, ...), stem=(StemParam, ...))
MethodsParams = _choice_model("Methods", METHODS)
StrategiesParams = _choice_model("Strategies", STRATEGIES)
EvaluationParams = _choice_model(
    "Evaluation",
    PROBES,
    probes=(Annotated[list[str], Field(min_length=1, max_length=20)], ...),
    headline=(str, ...),
)


class Params(Section):
    """All of params.yaml."""

    dataset: str
    scenario: Literal["class", "data", "domain"]
    num_tasks: int
    class_order: Annotated[list[str | int], Field(min_length=1)] | None
    method: str
    strategy: Annotated[str, Field(max_length=200)]
    distill_weight: NonNegative
    seed: Seed
    split_seed: Seed
    data: Data
    augment: AugmentParams
    backbone: BackboneParams  # type: ignore[valid-type]
    methods: MethodsParams  # type: ignore[valid-type]
    strategies: StrategiesParams  # type: ignore[valid-type]
    train: Train
    evaluation: EvaluationParams  # type: ignore[valid-type]
    linear_eval: LinearEval

    @model_validator(mode="after")
    def _names_exist_and_fit(self) -> Self:
        dataset = find_named("dataset", self.dataset, DATASETS)
        require_chosen("method", self.method, METHODS, "methods", self.methods)
        check_composition(self.strategy.split("+"))
        for name in self.strategy.split("+"):
            require_chosen("strategy", name, STRATEGIES, "strategies", self.strategies)
        require_chosen("backbone.name", self.backbone.name, BACKBONES, "backbone", self.backbone)  # type: ignore[attr-defined]
        check_probes(self.evaluation)
        if not 1 <= self.num_tasks <= MAX_TASKS:
            raise ValueError(
                f"num_tasks must be from 1 to {MAX_TASKS} (the task slots of dvc.yaml), "
                f"got {self.num_tasks}"
            )
        check_stream(
            self.dataset, dataset, self.scenario, self.num_tasks, self.class_order, self.data
        )
        return self
