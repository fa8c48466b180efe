"""The weights that params name to start from: their plan, and what they say of images."""

from __future__ import annotations

from pipeline.artifacts.plans.init import WeightsPlan
from pipeline.artifacts.weights import (
    Preprocessing,
    digest_weights,
    find_weights,
    read_preprocessing,
)
from pipeline.config.params import Params
from pipeline.config.registry.datasets import DATASETS


def plan_weights(params: Params) -> WeightsPlan | None:
    """The weights to start from; None: random ones.

    Raises:
        StateError: they are not there.
    """
    source = params.backbone.weights
    return None if source is None else WeightsPlan(source, digest_weights(find_weights(source)))


def find_preprocessing(params: Params) -> Preprocessing | None:
    """How images enter the network of the weights, where these say it.

    Raises:
        StateError: they are not there, or what says it is damaged.
    """
    source = params.backbone.weights
    return None if source is None else read_preprocessing(find_weights(source))


def take_over_normalization(
    params: Params, found: Preprocessing | None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of each channel: those of the weights, else those of the data set.

    Those of weights for other channels, grey or colour, say nothing of these images.
    """
    entry = DATASETS[params.dataset]
    if found is None or len(found.mean) != entry.channels:
        return entry.mean, entry.std
    return found.mean, found.std


def choose_image_size(params: Params, found: Preprocessing | None) -> int:
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
    found, entry = find_preprocessing(params), DATASETS[params.dataset]
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
