"""The data set that a plan names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from pipeline import layout
from pipeline.artifacts.plan import part, require_slot
from pipeline.building.components import load_class
from pipeline.data.image_files.file_options import FileOptions, Reading
from pipeline.data.source import Source
from pipeline.data.stream.scenarios import StreamOptions
from pipeline.errors import DataError
from pipeline.files.sealed_json import Json


def cut(slot: Json) -> StreamOptions:
    """Return how the plan says that the data set is cut."""
    return StreamOptions(
        cast(int, slot["num_tasks"]),
        cast(int, slot["split_seed"]),
        cast(Sequence[str | int] | None, slot.get("class_order")),
    )


LABELLED_TWICE = (
    "data.labelled_root is for images without labels, and those of the tasks have some; set "
    "data.labelled_root: null"
)


def open_source(slot: Json, reading: Json | None = None) -> Source:
    """Return the data set of a slot; reads nothing yet.

    Args:
        slot: of the plan.
        reading: how files are read; None: as the plan says. It is no dependency of a stage, as
            it changes no image.
    """
    dataset = part(slot, "dataset")
    root = Path(cast(str, dataset["root"]))
    source = load_class(cast(str, dataset["class"]))
    if "files" in dataset:
        how = reading or require_slot("reading")
        options = FileOptions(**part(dataset, "files"))  # type: ignore[arg-type]
        scratch = layout.main_checkout() / layout.STORES
        return cast(Source, source(root, options, Reading(**how, scratch=scratch)))  # type: ignore[arg-type]
    source = source(root, dataset["full"], dataset["classes"])
    if "transformed" in dataset:
        given = part(dataset, "transformed")
        source = load_class(cast(str, given["class"]))(source, given["domains"])
    return cast(Source, source)


def open_labelled(slot: Json, reading: Json | None = None) -> Source:
    """Return the labelled folder that evaluates images without labels.

    Args:
        slot: of an evaluation.
        reading: as ``open_source`` takes it.

    Raises:
        DataError: it is missing, has no labels, or lacks images of a class.
    """
    source = open_source({"dataset": slot["labelled"]}, reading)
    try:
        source.require_classes()
    except DataError as error:
        raise DataError(f"data.labelled_root: {error}") from error
    if not source.class_names():
        raise DataError(f"data.labelled_root: {source.root} has no class folders, so no labels")
    return source


def normalisation(slot: Json) -> tuple[int, list[float], list[float]]:
    """Return the data set's image size, and mean and deviation of each channel."""
    dataset = part(slot, "dataset")
    mean, std = cast(list[float], dataset["mean"]), cast(list[float], dataset["std"])
    return cast(int, dataset["image_size"]), mean, std
