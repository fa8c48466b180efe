"""The data set that a plan names."""

from __future__ import annotations

from pipeline import layout
from pipeline.artifacts.plans.files import require_plan
from pipeline.artifacts.plans.parts import DatasetPlan
from pipeline.artifacts.plans.reading import ReadingPlan
from pipeline.building.components import load_class
from pipeline.data.image_files.file_options import Reading
from pipeline.data.source import Source
from pipeline.errors import DataError

LABELLED_TWICE = (
    "data.labelled_root is for tasks without labelled test images, and these have some; set "
    "data.labelled_root: null, or data.holdout: 0 to train on all images of the tasks"
)


def open_source(
    plan: DatasetPlan, reading: ReadingPlan | None = None, *, look: bool = True
) -> Source:
    """The data set of a plan; reads nothing yet.

    Args:
        plan: which data set.
        reading: how files are read; None: as data/plan says. It is no dependency of a stage, as
            it changes no image.
        look: whether to find out which image files cannot be read.
    """
    root, build = layout.find_data(plan.root), load_class(plan.path, Source)
    if plan.files is not None:
        how = reading or require_plan(ReadingPlan, "reading")
        scratch = layout.main_checkout() / layout.STORES
        return build(root, plan.files, Reading(how.store, how.workers, scratch, look))
    source = build(root, plan.full, plan.classes)
    if plan.transformed is not None:
        transform = load_class(plan.transformed.path, Source)
        source = transform(source, plan.transformed.domains)
    return source


def open_labelled(
    plan: DatasetPlan, reading: ReadingPlan | None = None, *, look: bool = True
) -> Source:
    """The labelled folder that evaluates images without labels.

    Args:
        plan: the folder.
        reading: as ``open_source`` takes it.
        look: likewise.

    Raises:
        DataError: it is missing, has no labels, or lacks images of a class.
    """
    source = open_source(plan, reading, look=look)
    source.needs_tests = True
    try:
        source.require_classes()
    except DataError as error:
        raise DataError(f"data.labelled_root: {error}") from error
    if not source.class_names():
        raise DataError(f"data.labelled_root: {source.root} has no class folders, so no labels")
    return source
