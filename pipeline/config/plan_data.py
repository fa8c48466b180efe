"""Plans of the images: which there are, how they are cut, read and augmented."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pipeline.artifacts.plans.parts import DatasetPlan, DomainsPlan
from pipeline.artifacts.plans.prepare import PreparePlan
from pipeline.artifacts.plans.reading import ReadingPlan
from pipeline.artifacts.plans.views import ViewsPlan
from pipeline.config.chain import read_slots
from pipeline.config.params import Params
from pipeline.config.plan_weights import (
    choose_image_size,
    find_recipe,
    take_over_normalization,
)
from pipeline.config.registry.datasets import DATASETS, TRANSFORMATIONS, TRANSFORMED, Dataset
from pipeline.config.registry.strategies import learns_at_once
from pipeline.config.stage_code import add_code
from pipeline.config.stream import count_tasks, fix_stream
from pipeline.config.superclasses import read_superclasses
from pipeline.data.augmentation.view_augment import ViewAugment
from pipeline.data.image_files.file_options import WHITE, Color, FileOptions
from pipeline.data.stream.scenarios import StreamOptions
from pipeline.errors import ParamsError


def dataset_entry(params: Params) -> Dataset:
    """The chosen data set's registry entry."""
    return DATASETS[params.dataset]


def plan_preparation(params: Params) -> PreparePlan:
    """The plan that says which images there are and how they are cut into tasks."""
    params = fix_stream(params)
    tasks = count_tasks(params)
    dataset, data = plan_dataset(params), params.data
    if dataset.files is not None:
        files = replace(
            dataset.files,
            on_bad_image=data.on_bad_image,
            holdout=data.holdout,
            holdout_by=data.holdout_by,
            holdout_group=data.holdout_group,
            duplicates=data.duplicates,
            classes=tuple(data.classes) if isinstance(data.classes, list) else None,
            common_classes=data.classes == "common",
            class_list=data.class_list,
            domains=None if data.domains is None else tuple(data.domains),
            folders=tuple(data.folders or ()) if params.scenario == "folders" else None,
        )
        dataset = replace(dataset, files=files)
    elif dataset.transformed is not None:
        domains = tuple(data.domains or TRANSFORMATIONS)
        dataset = replace(dataset, transformed=replace(dataset.transformed, domains=domains))
    plan = PreparePlan(
        dataset=dataset,
        scenario=params.scenario,
        stream=_plan_stream(params, tasks),
        slots=max(read_slots(), tasks),
        code="",
        whole_stream=learns_at_once(params.strategy),
    )
    return add_code(plan)


def _plan_stream(params: Params, num_tasks: int) -> StreamOptions:
    """The number of tasks, and what decides which images each holds."""
    cut, order = params.stream, params.class_order if params.scenario == "class" else None
    return StreamOptions(
        num_tasks,
        params.split_seed,
        None if order is None else tuple(order),
        superclasses=() if cut.superclasses is None else read_superclasses(cut.superclasses),
        irregular=cut.irregular,
        imbalanced=cut.imbalanced,
        blurred=cut.blurred,
    )


def plan_labelled(params: Params) -> DatasetPlan | None:
    """The folder that evaluation uses where the images have no labels, if there is one."""
    dataset = plan_dataset(params)
    if dataset.files is None or params.data.labelled_root is None:
        return None
    return replace(
        dataset,
        name="image_folder",
        path=DATASETS["image_folder"].path,
        root=params.data.labelled_root,
        files=replace(
            dataset.files,
            on_bad_image=params.data.on_bad_image,
            holdout=params.data.holdout,
            holdout_by=params.data.holdout_by,
            holdout_group=params.data.holdout_group,
        ),
    )


def plan_reading(params: Params) -> ReadingPlan:
    """The plan of reading image files, which changes no image."""
    return ReadingPlan(params.data.store, params.data.workers)


def plan_dataset(params: Params) -> DatasetPlan:
    """The data set, and how its images enter the network, but not which of them there are.

    So a domain or a folder that comes later changes no plan of a task before it.

    Raises:
        PipelineError: the weights to start from are not there, or their size is above
            data.resize.
    """
    entry, data = dataset_entry(params), params.data
    weights = find_recipe(params)
    size = choose_image_size(params, weights)
    if entry.files and data.resize is not None and data.resize < size:
        raise ParamsError(
            f"data.resize must be at least the image size ({size}, that of backbone.weights), "
            f"got {data.resize}; raise it, or give data.image_size"
        )
    mean, std = take_over_normalization(params, weights)
    files = transformed = None
    if entry.files:
        files = FileOptions(
            data.resize or size, choose_background(params), data.interpolation, data.keep
        )
    elif params.scenario == "domain":
        transformed = DomainsPlan(TRANSFORMED, TRANSFORMATIONS)
    return DatasetPlan(
        name=params.dataset,
        path=entry.path,
        root=data.root,
        full=data.full or entry.files,
        classes=entry.classes,
        channels=entry.channels,
        image_size=size,
        mean=mean,
        std=std,
        files=files,
        transformed=transformed,
    )


def choose_background(params: Params) -> Color:
    """The color behind transparent pixels."""
    given = params.data.background
    if isinstance(given, str):
        return (0, 0, 0) if given == "black" else WHITE
    red, green, blue = given
    return (red, green, blue)


def data_modules(params: Params) -> list[str]:
    """The modules that read the images."""
    transformed = plan_dataset(params).transformed
    made = [] if transformed is None else [transformed.path.partition(":")[0]]
    return [dataset_entry(params).module, *made]


def plan_view_augments(params: Params) -> Sequence[ViewAugment]:
    """The augmentation of each of the two views."""
    given = params.augment

    def choose(value: float | list[float], view: int) -> float:
        return value[view] if isinstance(value, list) else value

    low, high = given.crop_scale
    return tuple(
        ViewAugment(
            crop_scale=(low, high),
            flip=choose(given.flip, view),
            jitter=choose(given.jitter, view),
            brightness=given.brightness,
            contrast=given.contrast,
            saturation=given.saturation,
            hue=given.hue,
            grey=choose(given.grey, view),
            blur=choose(given.blur, view),
            solarize=choose(given.solarize, view),
            interpolation=given.interpolation,
            jitter_style=given.jitter_style,
        )
        for view in range(2)
    )


def plan_views(params: Params) -> ViewsPlan:
    """The plan of the sheet of views."""
    plan = ViewsPlan(
        dataset=plan_dataset(params),
        views=plan_view_augments(params),
        num_tasks=count_tasks(params),
        code="",
    )
    return add_code(plan)
