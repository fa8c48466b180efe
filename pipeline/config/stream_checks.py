"""Checks of the params that say how images become a stream of tasks."""

from __future__ import annotations

from pipeline.config.data_sections import Data
from pipeline.config.registry.datasets import DATASETS, TRANSFORMATIONS, Dataset
from pipeline.config.sections import Train
from pipeline.config.stream_section import Stream
from pipeline.data.stream.tasks import ClassOrder, group_classes
from pipeline.errors import closest, shorten
from pipeline.files.sealed_json import Json


def check_stream(
    name: str,
    dataset: Dataset,
    scenario: str,
    num_tasks: int | None,
    class_order: ClassOrder | None,
    data: Data,
    *,
    irregular: bool,
    starts_elsewhere: bool,
) -> None:
    """Check the stream's params, as far as possible without images and weights.

    Args:
        name: of the data set.
        dataset: its entry in the registry.
        scenario: as the param; likewise the three that follow.
        num_tasks: see above.
        class_order: see above.
        data: see above.
        irregular: whether the numbers of classes a task are drawn.
        starts_elsewhere: whether there are weights to start from, which may say the images' size.

    Raises:
        ValueError: they do not fit together.
    """
    size = data.image_size or (None if starts_elsewhere else dataset.image_size)
    if dataset.files and size is not None and data.resize is not None and data.resize < size:
        raise ValueError(
            f"data.resize must be at least data.image_size ({size}), got {data.resize}"
        )
    if scenario == "folders" and dataset.path != DATASETS["image_folder"].path:
        raise ValueError(
            f"scenario: folders makes each folder of images a task; dataset must be image_folder, "
            f"got {name}"
        )
    for key in ("domains", "folders"):
        given = getattr(data, key) or []
        for entry in given:
            if given.count(entry) > 1:
                raise ValueError(f"data.{key}: {shorten(entry)} is there twice")
    if num_tasks is None:
        if scenario not in ("domain", "folders"):
            raise ValueError(
                f"num_tasks: null takes all tasks that are there, with scenario: folders or "
                f"domain; scenario: {scenario} needs a number"
            )
        return
    classes = len(dataset.classes)
    if scenario == "class" and 0 < classes < num_tasks:
        raise ValueError(
            f"num_tasks must be at most {classes}, the classes of {name} "
            f"(scenario: class gives each task at least one), got {num_tasks}"
        )
    if scenario == "class" and classes and (class_order is not None or irregular):
        group_classes(dataset.classes, num_tasks, 0, class_order, irregular=irregular)
    if scenario == "domain" and not dataset.files:
        domains = data.domains or TRANSFORMATIONS
        for domain in domains:
            if domain not in TRANSFORMATIONS:
                raise ValueError(
                    f"data.domains: '{domain}' is unknown; {closest(domain, TRANSFORMATIONS)}"
                )
        if num_tasks > len(domains):
            raise ValueError(
                f"num_tasks must be at most {len(domains)} with scenario: domain, one task for "
                f"each of {', '.join(domains)}; got {num_tasks}"
            )


def check_online_stream(
    stream: Stream, method: str, options: Json, train: Train, *, probing: bool
) -> None:
    """Check that the params fit a stream that is seen once.

    Args:
        stream: whether it is such a stream.
        method: its name.
        options: of the method.
        train: how it is trained.
        probing: whether probes are measured while a task trains.

    Raises:
        ValueError: they do not.
    """
    if not stream.online:
        return
    for name, value in options.items():
        if value and name.endswith(("_epoch", "_epochs")):
            raise ValueError(
                f"methods.{method}.{name} counts epochs, and stream.online has none; set it to 0, "
                f"got {value}"
            )
    if train.head_warmup_epochs:
        raise ValueError(
            "train.head_warmup_epochs counts epochs, and stream.online has none; set it to 0, "
            f"got {train.head_warmup_epochs}"
        )
    if train.accumulate_grad_batches > 1:
        raise ValueError(
            "train.accumulate_grad_batches divides large batches, and stream.online takes small "
            f"ones; set it to 1, got {train.accumulate_grad_batches}"
        )
    if probing:
        raise ValueError(
            "evaluation.every counts epochs, and stream.online has none; set it to null; states "
            "are evaluated at num_tasks points of the stream"
        )
