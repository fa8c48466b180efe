"""The weights that params name to start from: their plan, and what they say of images."""

from __future__ import annotations

from pathlib import Path

from pipeline import layout
from pipeline.artifacts.plans.files import read_plan
from pipeline.artifacts.plans.init import InitPlan, InputRecipe, WeightsPlan
from pipeline.artifacts.weights import digest_weights, find_weights, read_recipe
from pipeline.config.params import Params
from pipeline.config.registry.datasets import DATASETS
from pipeline.errors import RunError, StateError


def plan_weights(params: Params) -> WeightsPlan | None:
    """The weights to start from; None: random ones.

    What was trained from them needs them no more: where they are gone since they were planned,
    they are what the plan of ``init`` says.

    Raises:
        StateError: they are not there, or what says how images enter is damaged.
    """
    source = params.backbone.weights
    if source is None:
        return None
    found = _find_or_recall(source)
    if isinstance(found, WeightsPlan):
        return found
    return WeightsPlan(source, digest_weights(found), read_recipe(found))


def _find_or_recall(source: str) -> Path | WeightsPlan:
    """The file of weights; where it is gone, what the plan of ``init`` says of it.

    Raises:
        StateError: it is not there, and was not planned.
    """
    try:
        return find_weights(source)
    except StateError:
        planned = _recall_weights(source)
        if planned is None:
            raise
        return planned


def _recall_weights(source: str) -> WeightsPlan | None:
    """The weights of a source as they were planned; None: they were not."""
    try:
        planned = read_plan(InitPlan, "init") if layout.plan("init").is_file() else None
    except RunError:
        return None
    weights = None if planned is None else planned.weights
    return weights if weights is not None and weights.source == source else None


def find_recipe(params: Params) -> InputRecipe | None:
    """How images entered the network of the weights, where these say it; not all of them are read.

    Raises:
        StateError: they are not there, or what says it is damaged.
    """
    source = params.backbone.weights
    if source is None:
        return None
    found = _find_or_recall(source)
    return found.images if isinstance(found, WeightsPlan) else read_recipe(found)


def take_over_normalization(
    params: Params, found: InputRecipe | None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of each channel: those of the weights, else those of the data set.

    Those of weights for other channels, grey or colour, say nothing of these images.
    """
    entry = DATASETS[params.dataset]
    if found is None or len(found.mean) != entry.channels:
        return entry.mean, entry.std
    return found.mean, found.std


def choose_image_size(params: Params, found: InputRecipe | None) -> int:
    """Height and width in pixels: as params say, else as the weights do, else the data set's own.

    Images of a data set that is no folder of files have the size that they have.
    """
    entry = DATASETS[params.dataset]
    if not entry.files:
        return entry.image_size
    own = entry.image_size if found is None else found.image_size
    return params.data.image_size or own


def describe_taken_over(params: Params) -> list[str]:
    """What is taken over from the weights, and what contradicts them, line by line."""
    found, entry = find_recipe(params), DATASETS[params.dataset]
    if params.backbone.weights is None:
        return []
    if found is None:
        return ["they do not say how images enter; normalisation and size stay the data set's"]
    lines = []
    if len(found.mean) == entry.channels:
        lines.append(f"mean {list(found.mean)} and std {list(found.std)} are taken over")
    else:
        lines.append(
            f"they are for {len(found.mean)} channels and the images have {entry.channels}: the "
            "data set's own normalisation stays"
        )
    size = choose_image_size(params, found)
    if size == found.image_size:
        lines.append(f"images of {size} pixels, as the weights have seen")
    else:
        why = "data.image_size says so" if entry.files else "the data set has no others"
        lines.append(
            f"images of {size} pixels, and the weights have seen {found.image_size}: {why}"
        )
    return lines
