"""The model of params.yaml, which is validated as a whole before anything runs.

There are no hidden defaults: every param must be given in params.yaml.
Importing this module imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, create_model, model_validator

from pipeline.config.checks import (
    check_loggers,
    check_norm,
    find_named,
    require_chosen,
)
from pipeline.config.data_sections import AugmentParams, Data
from pipeline.config.evaluation_checks import (
    check_online,
    check_probes,
    check_probing,
    check_transfer,
)
from pipeline.config.option_types import ClassOrTask, NonNegativeFloat, Seed
from pipeline.config.registry.backbones import BACKBONES, entry_name
from pipeline.config.registry.component import Component
from pipeline.config.registry.datasets import DATASETS
from pipeline.config.registry.methods import METHODS
from pipeline.config.registry.optimizers import OPTIMIZERS
from pipeline.config.registry.probes import PROBES
from pipeline.config.registry.strategies import STRATEGIES
from pipeline.config.section import Choices, Section
from pipeline.config.sections import BackboneChoice, EvaluationChoice, LinearEval, Train
from pipeline.config.strategy_checks import (
    check_blending,
    check_composition,
    check_phases,
    check_replay,
    check_start,
    check_strategies,
)
from pipeline.config.stream_checks import check_online_stream, check_stream
from pipeline.config.stream_section import Stream, check_cut
from pipeline.layout import MAX_TASKS


class Params(Section):
    """All of params.yaml but the options that the registry lists; see ``validate_params``."""

    dataset: str
    scenario: Literal["class", "data", "domain", "folders"]
    num_tasks: Annotated[int, Field(ge=1, le=MAX_TASKS)] | None
    class_order: Annotated[list[ClassOrTask], Field(min_length=1)] | None
    method: str
    strategy: Annotated[str, Field(max_length=200)]
    distill_weight: NonNegativeFloat
    distill_from_start: bool
    seed: Seed
    split_seed: Seed
    stream: Stream
    data: Data
    augment: AugmentParams
    backbone: BackboneChoice
    methods: Choices
    strategies: Choices
    train: Train
    evaluation: EvaluationChoice
    linear_eval: LinearEval

    @model_validator(mode="after")
    def _names_exist_and_fit(self) -> Self:
        dataset = find_named("dataset", self.dataset, DATASETS)
        require_chosen("method", self.method, METHODS, "methods", self.methods)
        strategies = self.strategy.split("+")
        check_composition(strategies)
        for name in strategies:
            require_chosen("strategy", name, STRATEGIES, "strategies", self.strategies)
        backbone = entry_name(self.backbone.name)
        require_chosen("backbone.name", backbone, BACKBONES, "backbone", self.backbone)
        check_norm(self.backbone.name, self.backbone.norm)
        require_chosen("train.optimizer", self.train.optimizer, OPTIMIZERS, "train", self.train)
        check_strategies(strategies, self.method, self.stream)
        options = {name: self.strategies.options_of(name) or {} for name in strategies}
        check_blending(strategies, options)
        check_replay(strategies, options, self.train)
        check_phases(strategies, options, self.train)
        check_online_stream(
            self.stream,
            self.method,
            self.methods.options_of(self.method) or {},
            self.train,
            probing=self.evaluation.every is not None,
        )
        check_start(self.distill_from_start, self.backbone.weights)
        check_loggers(self.train.loggers)
        check_probes(self.evaluation)
        check_transfer(self.evaluation)
        check_probing(self.evaluation, self.train)
        check_online(self.evaluation, self.scenario, self.data, self.train)
        check_cut(self.stream, self.scenario, self.num_tasks, self.class_order)
        check_stream(
            self.dataset,
            dataset,
            self.scenario,
            self.num_tasks,
            self.class_order,
            self.data,
            irregular=self.stream.irregular,
            starts_elsewhere=self.backbone.weights is not None,
        )
        return self


def _add_options(section: type[Choices], components: Mapping[str, Component]) -> type[Choices]:
    """Return the section with an optional section for each component that has options."""
    fields: dict[str, Any] = {}
    for name, component in components.items():
        if component.options:
            types: dict[str, Any] = {key: (kind, ...) for key, kind in component.options.items()}
            fields[name] = (create_model(name, __base__=Section, **types) | None, None)
    return create_model(section.__name__, __base__=section, **fields)


PARAMS_MODEL = create_model(
    "Params",
    __base__=Params,
    backbone=(_add_options(BackboneChoice, BACKBONES), ...),
    methods=(_add_options(Choices, METHODS), ...),
    strategies=(_add_options(Choices, STRATEGIES), ...),
    train=(_add_options(Train, OPTIMIZERS), ...),
    evaluation=(_add_options(EvaluationChoice, PROBES), ...),
)


def validate_params(values: object) -> Params:
    """Return the params among plain values.

    Raises:
        ValidationError: they are not as they should be.
    """
    return PARAMS_MODEL.model_validate(values)
