"""The settings of a run: the params that can change its metrics."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain

from pipeline.config.data_sections import Data
from pipeline.config.overrides import flatten
from pipeline.config.registry.component import Component
from pipeline.config.registry.datasets import DATASETS
from pipeline.config.registry.methods import METHODS
from pipeline.config.registry.probes import CONSOLIDATION_PROBE, PROBES
from pipeline.config.registry.strategies import STRATEGIES
from pipeline.config.sections import MACHINE_PARAMS
from pipeline.files.sealed_json import Json, JsonValue
from pipeline.files.typed_json import get_typed

# What compare sets side by side, and where the images are (their digest says which they are).
# Other data change none of the metrics that are compared.
NOT_SETTINGS = (
    frozenset({"method", "strategy", "seed", "data.root", "evaluation.transfer"}) | MACHINE_PARAMS
)
# What only a data set of image files has: the params from image_size on.
_DATA = list(Data.model_fields)
OF_FILES = frozenset(_DATA[_DATA.index("image_size") :])
OF_ONLINE = frozenset({"passes", "boundaries"})  # of the section stream

Values = dict[str, str]


@dataclass(frozen=True)
class Settings:
    """A run's settings, by dotted name, with values as JSON.

    Options of methods, strategies, backbones, optimisers and probes that the run does not
    use are left out.

    Attributes:
        shared: settings that do not belong to a method or strategy.
        method: the options of the run's method.
        strategy: the options of the run's strategy, or of all strategies in a composition.
    """

    shared: Values
    method: Values
    strategy: Values


def read_settings(params: Json) -> Settings:
    """Return the settings in a run's params."""
    method = get_typed(params, str, "method")
    strategies = get_typed(params, str, "strategy").split("+")
    of_method, of_strategy = (
        _top_level_params([method], METHODS),
        _top_level_params(strategies, STRATEGIES),
    )
    unused = _top_level_params(METHODS, METHODS) | _top_level_params(STRATEGIES, STRATEGIES)
    shared: Json = {
        key: value for key, value in params.items() if key not in unused | {"methods", "strategies"}
    }
    shared["backbone"] = _only_chosen(shared.get("backbone"), "name")
    shared["evaluation"] = _only_chosen(shared.get("evaluation"), "headline")
    dataset = DATASETS.get(str(params.get("dataset")))
    data = shared.get("data")
    if isinstance(data, dict) and dataset is not None and not dataset.files:
        shared["data"] = {key: value for key, value in data.items() if key not in OF_FILES}
    shared["train"] = _without_other_optimizers(shared.get("train"))
    stream = shared.get("stream")
    if isinstance(stream, dict) and not stream.get("online"):
        shared["stream"] = {k: v for k, v in stream.items() if k not in OF_ONLINE}
    return Settings(
        {key: text for key, text in _flatten(shared) if key not in NOT_SETTINGS},
        dict(_options(params, "methods", [method], of_method)),
        dict(_options(params, "strategies", strategies, of_strategy)),
    )


def name_protocol(params: Json) -> str:
    """Return the headline probe of a run's params, with its protocol in a few words."""
    try:
        name = get_typed(params, str, "evaluation", "headline")
    except ValueError:
        return "a probe that the run does not name"
    return f"probe {name}: {PROBES[name].named}" if name in PROBES else f"probe {name}"


def differing_params(settings: Iterable[Values]) -> list[str]:
    """Return the names of the params that differ between settings, sorted."""
    given = list(settings)
    names = {name for values in given for name in values}
    return sorted(name for name in names if len({values.get(name) for values in given}) > 1)


def format_settings(values: Values, names: Iterable[str]) -> str:
    """Return ``name=value`` for each name, joined by commas."""
    return ", ".join(
        f"{name}={values[name].strip(chr(34)) if name in values else 'not set'}" for name in names
    )


def _top_level_params(names: Iterable[str], components: Mapping[str, Component]) -> set[str]:
    """Return the top-level params that components take."""
    # An unknown component, of a newer version, might take any of them.
    unknown = any(name not in components for name in names)
    entries = components.values() if unknown else [components[name] for name in names]
    return set(chain.from_iterable(entry.top_level for entry in entries))


def _options(
    params: Json, section: str, names: list[str], top_level: set[str]
) -> Iterable[tuple[str, str]]:
    held = params.get(section)
    for name in names:
        value = held.get(name) if isinstance(held, dict) else None
        if value is not None:
            yield from _flatten({name: value})
    yield from ((key, _text(params[key])) for key in sorted(top_level) if key in params)


def _only_chosen(section: JsonValue, choice: str) -> JsonValue:
    """Return a section without the options of components that it does not choose."""
    if not isinstance(section, dict):
        return section
    chosen = section.get(choice)
    # The other probes do not change the metrics of the headline probe, nor the consolidation.
    used = (chosen, CONSOLIDATION_PROBE)
    return {
        key: value
        for key, value in section.items()
        if key != "probes" and (not isinstance(value, dict) or key in used)
    }


def _without_other_optimizers(train: JsonValue) -> JsonValue:
    if not isinstance(train, dict):
        return train
    chosen = train.get("optimizer")
    return {key: v for key, v in train.items() if not isinstance(v, dict) or key == chosen}


def _flatten(section: Json) -> Iterable[tuple[str, str]]:
    """Yield the dotted name and the text of each value that there is."""
    return ((name, _text(value)) for name, value in flatten(section) if value is not None)


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
