"""Read a slot of the plan into typed pieces."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from pipeline import layout
from pipeline.components import load_class
from pipeline.data.file_options import FileOptions, Reading
from pipeline.data.source import Source
from pipeline.data.split_files import split_digest
from pipeline.errors import DataError, RunError
from pipeline.files import Json, JsonValue, digest, read_sealed

if TYPE_CHECKING:
    from pipeline.models.backbone import Backbone

RERUN_PLAN = "run `cassle plan` first"
LABELLED_TWICE = (
    "data.labelled_root is for images without labels, and those of the tasks have some; set "
    "data.labelled_root: null"
)


def read_slot(name: str) -> Json | None:
    """Return a slot's resolved params; None above num_tasks.

    Raises:
        RunError: there is no plan, or it cannot be read.
    """
    return read_sealed(layout.plan(name), RunError, RERUN_PLAN)


def require_slot(name: str) -> Json:
    """Return a slot's resolved params where there must be some.

    Raises:
        RunError: there is no plan, or the slot is above num_tasks.
    """
    slot = read_slot(name)
    if slot is None:
        raise RunError(
            f"{name} is above num_tasks in the plan (or strategy: offline learns all tasks in "
            "task 1); raise num_tasks and run `cassle plan`"
        )
    return slot


def part(slot: Json, key: str) -> Json:
    """Return one of the objects in a slot."""
    value = slot[key]
    assert isinstance(value, dict), f"{key} in the plan is no object"
    return value


def made_by(name: str, plan: JsonValue) -> Json:
    """Return what the header of a state says of the slot that made it, what tells most first.

    Args:
        name: of the slot.
        plan: its digest, which decides; the rest is for the message where it differs.

    Raises:
        RunError: the slot's file is missing or damaged.
    """
    slot = read_slot(name)
    known: Json = {}
    if slot is not None and digest(slot) == plan:
        known = maker(slot)
    return {**known, "plan": plan}


def maker(slot: Json) -> Json:
    """Return what the header of a state says of its slot beside the digest, to name what differs.

    The strategies first: other ones use other code.
    """
    specs = cast(list[Json], slot.get("strategies", []))
    names = {"strategy": "+".join(cast(str, spec["name"]) for spec in specs)} if specs else {}
    return {**names, "seed": slot["seed"], "code": slot["code"]}


def learnt_from(task: int) -> Json:
    """Return what the header of the state after a task says of the splits it has learnt from.

    Raises:
        DataError: a split is damaged.
    """
    splits = [split_digest(number) for number in range(1, task + 1)]
    return {"split": splits[-1], "task_order": splits}


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


def build_backbone(spec: Json) -> Backbone:
    """Return a new backbone as the plan describes it."""
    backbone = load_class(cast(str, spec["class"]))
    options = cast(Json, spec["options"])
    return cast("Backbone", backbone(spec["channels"], spec["stem"], **options))
