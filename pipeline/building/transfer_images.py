"""The labelled images beside the stream that every state is evaluated on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pipeline import layout
from pipeline.artifacts.plans.evaluate import EvaluatePlan, TransferData, TransferPlan
from pipeline.artifacts.plans.reading import ReadingPlan
from pipeline.artifacts.split import Split
from pipeline.building.data import open_source
from pipeline.building.labelled_images import ImagesFromElsewhere
from pipeline.data.datasets.fitted import Fitted
from pipeline.data.image_files.content import list_first
from pipeline.data.image_files.file_options import FileOptions
from pipeline.data.parts import PARTS
from pipeline.data.source import Source
from pipeline.errors import DataError
from pipeline.files.typed_json import get_typed
from pipeline.runtime.inputs import Inputs


def require_transfer(plan: TransferPlan | None, reading: ReadingPlan) -> None:
    """Check all data beside the stream before anything is trained; no image file is read.

    Data sets that can be fetched are.

    Args:
        plan: of the evaluation on them; None: there are none.
        reading: how files are read.

    Raises:
        DataError: some cannot be used; a line for each.
    """
    problems = []
    for data in () if plan is None else plan.data:
        try:
            require_usable(open_transfer(data, reading, look=False), plan)
        except DataError as error:
            problems.append(explain_problem(data, error))
    if problems:
        raise DataError("\n".join(problems))


def explain_problem(data: TransferData, error: DataError) -> str:
    """Return what is wrong with data beside the stream, with their name."""
    return f"evaluation.transfer: {data.name}: {error}"


def list_transfer_images(
    plan: EvaluatePlan, splits: Sequence[Split], inputs: Inputs
) -> dict[str, ImagesFromElsewhere]:
    """The images of all data beside the stream by their names, noted among a stage's inputs.

    Raises:
        DataError: they are missing or damaged, or have no labels.
    """
    found: dict[str, ImagesFromElsewhere] = {}
    for data in () if plan.transfer is None else plan.transfer.data:
        try:
            source = open_transfer(data)
            require_usable(source, plan.transfer)
            found[data.name] = ImagesFromElsewhere(source, splits, inputs)
            _require_readable(source, data)
        except DataError as error:
            raise DataError(explain_problem(data, error)) from error
    return found


def open_transfer(
    data: TransferData, reading: ReadingPlan | None = None, *, look: bool = True
) -> Source:
    """Data beside the stream, whose images are read as the network has learnt to see them.

    Args:
        data: which.
        reading: how files are read; None: as data/plan says.
        look: whether to find out which image files cannot be read.

    Raises:
        DataError: there is no such data set or folder.
    """
    dataset = data.dataset
    if not dataset.full:
        # The subset that comes with the project; it lies beside the code where one does without.
        dataset = replace(dataset, root=layout.find_shipped(dataset.root).as_posix())
    elif dataset.name == "image_folder" and not layout.find_data(dataset.root).is_dir():
        raise DataError(
            "neither the name of a data set (fashion_mnist, mnist, cifar10, cifar100, "
            "tiny_imagenet) nor a folder that is there; write one of both"
        )
    source = open_source(dataset, reading, look=look)
    source.needs_tests = True
    how = (dataset.files or FileOptions(dataset.image_size)).interpolation
    return Fitted(source, dataset.channels, dataset.image_size, how)


def require_usable(source: Source, plan: TransferPlan | None) -> None:
    """Check that there are labels, and images enough to learn from and to test on.

    Raises:
        DataError: there are not, or files are missing.
    """
    if not source.class_names():
        raise DataError(
            f"{source.root} has no class folders, so no labels; sort its images into one folder a "
            "class"
        )
    if len(source.labels("test")) == 0:
        raise DataError(
            f"{source.root} has no test part, and data.holdout is 0; make folders train/ and test/ "
            "in it, or set data.holdout"
        )
    source.require_classes()
    count = len(source.labels("train"))
    for probe in () if plan is None else plan.probes:
        wanted = get_typed(dict(probe.options), int, "k") if "k" in probe.options else 0
        if count < wanted:
            raise DataError(
                f"{source.root} has {count} images to learn from, below the {wanted} neighbours "
                f"of evaluation.{probe.name}.k; lower that, or add images"
            )


def _require_readable(source: Source, data: TransferData) -> None:
    """Check that all images can be read, unless params leave out those that cannot.

    Raises:
        DataError: some cannot.
    """
    if data.dataset.files is None or data.dataset.files.on_bad_image == "skip":
        return
    for part in PARTS:
        keys = source.keys(part)
        bad = source.select(part, keys).unreadable()
        if bad:
            named = list_first([f"{keys[place]} ({why})" for place, why in bad.items()])
            raise DataError(
                f"{source.root}: {len(bad)} of {len(keys)} images of the {part} part cannot be "
                f"used: {named}; mend or remove them, or set data.on_bad_image: skip"
            )
