"""Read the augmentation of a slot of the plan."""

from __future__ import annotations

from dataclasses import fields
from typing import cast

from pipeline.building.data import normalisation
from pipeline.data.augmentation.augment import Augment
from pipeline.data.augmentation.recipe import ViewAugment
from pipeline.files.sealed_json import Json


def build_augment(slot: Json, rank: int = 0, processes: int = 1) -> Augment:
    """Return what makes the views of a slot's images; see ``ViewAugment``.

    Args:
        slot: of the plan.
        rank: of this process.
        processes: that share each batch.
    """
    recipes = []
    for view in cast(list[Json], slot["views"]):
        values = {field.name: view[field.name] for field in fields(ViewAugment)}
        values["crop_scale"] = tuple(cast(list[float], view["crop_scale"]))
        recipes.append(ViewAugment(**values))  # type: ignore[arg-type]
    return Augment(recipes, *normalisation(slot), rank, processes)
