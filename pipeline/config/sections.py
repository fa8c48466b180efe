"""The sections of params.yaml, with the type and range of each value."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipeline.config.option_types import (
    Background,
    Classes,
    CropScale,
    Milestones,
    NonNegativeFloat,
    NonNegativeInt,
    PerView,
    PositiveFloat,
    PositiveInt,
    require_milestones,
)
from pipeline.config.user_paths import FolderPath, RootPath, UserPath
from pipeline.data.augmentation.view_augment import JitterStyle
from pipeline.data.image_files.file_options import Keep
from pipeline.data.interpolation import Interpolation
from pipeline.files.sealed_json import Json
from pipeline.models.stems import Stem


class Section(BaseModel):
    """A section of params.yaml, without unknown keys or silent conversions."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Choices(Section):
    """A section with one more section for each component that has options.

    Those are not here: ``pipeline.config.params`` adds what the registry lists.
    """

    def options_of(self, name: str) -> Json | None:
        """Return the options given for a component; None where there are none."""
        given = getattr(self, name, None)
        return given.model_dump() if isinstance(given, Section) else None


class BackboneChoice(Choices):
    """The backbone, with the options of all.

    Attributes:
        weights: what it starts from: a file, a folder or the name of a model; None: random.
        freeze_until: its last part that no task changes; None: all train.
    """

    name: str
    stem: Stem
    weights: Annotated[UserPath, Field(min_length=1)] | None
    freeze_until: Annotated[str, Field(min_length=1, max_length=200)] | None


class EvaluationChoice(Choices):
    """The probes, with the options of all.

    Attributes:
        probes: their names.
        headline: the name of the one of the matrix.
        transfer: other labelled data: names of data sets, or folders.
    """

    probes: Annotated[list[str], Field(min_length=1, max_length=20)]
    headline: str
    transfer: Annotated[list[UserPath], Field(max_length=20)]


RATES_ARE_FOR = 256  # images a step, as the field's recipes give them
# Params that say how a run is carried out and watched. They shape no result beyond rounding, so
# `data/plan/machine.json` or `reading.json` has them, and `cassle compare` passes over them.
MACHINE_PARAMS = frozenset(
    {"data.store", "data.workers", "train.devices", "train.num_nodes", "train.loggers"}
)


class Data(Section):
    """The data set; params from ``image_size`` on are for image files only.

    Attributes:
        root: the folder of the images.
        full: the whole data set instead of the subset that comes with the project.
        domains: the domains of scenario: domain, in order; None: the data set's own.
        folders: the tasks of scenario: folders, in order, in ``root`` or absolute; None: each
            folder in ``root``, in natural order.
        image_size: height and width of the images in pixels; None: the data set's own.
        resize: the shorter side in pixels before the crop to image_size; None: image_size.
        interpolation: how files are resized, with antialiasing.
        keep: the central square of an image, or the whole of it; crops are drawn from that.
        store: decode images once, or each time they are read.
        workers: threads that decode, and processes that read.
        on_bad_image: raise an error for an unreadable image, or leave it out.
        holdout: share of each class to test on, if there is no test part; 0: none.
        holdout_by: what the images have in common that are held out together; see
            ``pipeline.data.image_files.file_options.FileOptions``.
        holdout_group: the regular expression of ``holdout_by: group``.
        duplicates: keep images whose bytes are those of an earlier one, drop them, or raise an
            error.
        classes: all, those that all domains share (``common``), or their names.
        background: the color behind transparent pixels.
        class_list: a file with the classes to use; see ``pipeline.data.datasets.imagenet100``.
        labelled_root: a labelled folder to evaluate on, if the images have no labels.
    """

    root: Annotated[RootPath, Field(min_length=1)]
    full: bool
    domains: Annotated[list[str], Field(min_length=1)] | None
    folders: Annotated[list[FolderPath], Field(min_length=1)] | None
    image_size: Annotated[int, Field(ge=8, le=2048)] | None
    resize: Annotated[int, Field(ge=8, le=4096)] | None
    interpolation: Interpolation
    keep: Keep
    store: Literal["cache", "stream"]
    workers: Annotated[int, Field(ge=0, le=256)]
    on_bad_image: Literal["error", "skip"]
    holdout: Annotated[float, Field(ge=0, lt=1)]
    holdout_by: Literal["file", "content", "name", "group"]
    holdout_group: str | None
    duplicates: Literal["keep", "drop", "error"]
    classes: Classes
    background: Background
    class_list: UserPath | None
    labelled_root: UserPath | None

    @model_validator(mode="after")
    def _group_is_an_expression(self) -> Self:
        if (self.holdout_by == "group") != (self.holdout_group is not None):
            raise ValueError(
                "holdout_group is the regular expression of holdout_by: group, and is null with "
                f"the others; got holdout_by: {self.holdout_by} and holdout_group: "
                f"{self.holdout_group}"
            )
        try:
            re.compile(self.holdout_group or "")
        except re.error as error:
            raise ValueError(
                f"holdout_group must be a regular expression, got {self.holdout_group!r}: {error}"
            ) from error
        return self


class AugmentParams(Section):
    """The augmentation; see ``pipeline.data.augmentation.view_augment.ViewAugment``."""

    crop_scale: CropScale
    interpolation: Interpolation
    flip: PerView
    jitter: PerView
    jitter_style: JitterStyle
    brightness: NonNegativeFloat
    contrast: NonNegativeFloat
    saturation: NonNegativeFloat
    hue: Annotated[float, Field(ge=0, le=0.5)]
    grey: PerView
    blur: PerView
    solarize: PerView


class Train(Choices):
    """Training of each task; see ``pipeline.training.optim.Optimization``.

    Each optimizer of the registry that has options has a section of its name beside these.

    Attributes:
        batch_size: images of one step of the optimizer, over all devices, nodes and parts.
        devices: of each node: GPUs, or processes on a CPU.
        num_nodes: machines.
        accumulate_grad_batches: parts of a step's batch that pass one after another; a loss
            and BatchNorm see one of them at a time.
        sync_batchnorm: whether BatchNorm takes its statistics over all processes.
        backbone_rate: the factor on the learning rate of the backbone's parameters.
        head_warmup_epochs: epochs of task 1 in which the backbone stays as it is.
        scale_learning_rate: ``linear``: the rates are those for 256 images a step.
        loggers: watch training; see ``pipeline/training/loggers``.
    """

    epochs: PositiveInt
    batch_size: Annotated[int, Field(ge=2, le=1_000_000)]
    devices: Annotated[int, Field(ge=1, le=1024)]
    num_nodes: Annotated[int, Field(ge=1, le=1024)]
    accumulate_grad_batches: PositiveInt
    sync_batchnorm: bool
    optimizer: str
    learning_rate: PositiveFloat
    backbone_rate: PositiveFloat
    head_warmup_epochs: NonNegativeInt
    scale_learning_rate: Literal["none", "linear"]
    weight_decay: NonNegativeFloat
    exclude_norms_and_biases: bool
    warmup_epochs: NonNegativeFloat
    warmup_start: NonNegativeFloat
    final_learning_rate: NonNegativeFloat
    precision: Literal["auto", "32-true", "bf16-mixed"]
    loggers: Annotated[list[str], Field(max_length=20)]

    @property
    def rate_scale(self) -> float:
        """What the rates are multiplied by."""
        return self.batch_size / RATES_ARE_FOR if self.scale_learning_rate == "linear" else 1

    @model_validator(mode="after")
    def _batch_divides(self) -> Self:
        names = ("devices", "num_nodes", "accumulate_grad_batches")
        parts = self.devices * self.num_nodes * self.accumulate_grad_batches
        if self.batch_size % parts:
            product = " × ".join(f"{name} {getattr(self, name)}" for name in names)
            nearest = max(parts, round(self.batch_size / parts) * parts)
            raise ValueError(
                f"batch_size is divided over {product}, so it must be a multiple of {parts}; "
                f"got {self.batch_size}; use {nearest}, say"
            )
        if self.batch_size // self.accumulate_grad_batches < 2:
            raise ValueError(
                "accumulate_grad_batches must leave 2 or more images a part of batch_size "
                f"({self.batch_size}), got {self.accumulate_grad_batches}"
            )
        return self

    @model_validator(mode="after")
    def _schedule_fits(self) -> Self:
        for name in ("warmup_start", "final_learning_rate"):
            if getattr(self, name) > self.learning_rate:
                raise ValueError(
                    f"{name} must be at most learning_rate ({self.learning_rate}), "
                    f"got {getattr(self, name)}"
                )
        for name in ("warmup_epochs", "head_warmup_epochs"):
            if getattr(self, name) >= self.epochs:
                raise ValueError(
                    f"{name} must be below epochs ({self.epochs}), got {getattr(self, name)}"
                )
        return self


class LinearEval(Section):
    """The options of the probe ``linear``; see ``pipeline.evaluation.linear.Linear``."""

    epochs: PositiveInt
    batch_size: PositiveInt
    learning_rate: PositiveFloat
    milestones: Milestones
    weight_decay: NonNegativeFloat
    standardize: bool

    @model_validator(mode="after")
    def _milestones_below_epochs(self) -> Self:
        require_milestones(self.epochs, self.milestones)
        return self
