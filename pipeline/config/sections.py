"""The sections of params.yaml, with the type and range of each value."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from pipeline.config.registry.component import Fraction, NonNegative, Positive

Count = Annotated[int, Field(ge=1, le=1_000_000)]


Seed = Annotated[int, Field(ge=0, lt=2**63)]


# One probability for both views, or a list of two, one a view.
PerView = Annotated[
    Annotated[Fraction, Tag("both-views")]
    | Annotated[list[Fraction], Field(min_length=2, max_length=2), Tag("one-a-view")],
    Discriminator(lambda value: "one-a-view" if isinstance(value, list) else "both-views"),
]


class Section(BaseModel):
    """A section of params.yaml, without unknown keys or silent conversions."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Data(Section):
    """The data set; params from ``image_size`` on are for image files only.

    Attributes:
        root: the folder of the images.
        full: the whole data set instead of the subset that comes with the project.
        domains: the domains of scenario: domain, in order; None: the data set's own.
        image_size: height and width of the images in pixels; None: the data set's own.
        resize: the shorter side in pixels before the crop to image_size; None: image_size.
        store: decode images once, or each time they are read.
        workers: threads that decode, and processes that read.
        on_bad_image: raise an error for an unreadable image, or leave it out.
        holdout: share of each class to test on, if there is no test part.
        class_list: a file with the classes to use; see ``pipeline.data.datasets.imagenet100``.
        labelled_root: a labelled folder to evaluate on, if the images have no labels.
    """

    root: Annotated[str, Field(min_length=1)]
    full: bool
    domains: Annotated[list[str], Field(min_length=1)] | None
    image_size: Annotated[int, Field(ge=8, le=2048)] | None
    resize: Annotated[int, Field(ge=8, le=4096)] | None
    store: Literal["cache", "stream"]
    workers: Annotated[int, Field(ge=0, le=256)]
    on_bad_image: Literal["error", "skip"]
    holdout: Annotated[float, Field(gt=0, lt=1)]
    class_list: str | None
    labelled_root: str | None

    @model_validator(mode="after")
    def _root_can_be_a_path(self) -> Self:
        if not self.root.isprintable():
            raise ValueError(f"root must be the path of a folder, got {self.root!r}")
        return self


class AugmentParams(Section):
    """The augmentation; see ``pipeline.data.augmentation.recipe.ViewAugment``."""

    crop_scale: Annotated[list[Positive], Field(min_length=2, max_length=2)]
    flip: PerView
    jitter: PerView
    brightness: NonNegative
    contrast: NonNegative
    saturation: NonNegative
    hue: Annotated[float, Field(ge=0, le=0.5)]
    grey: PerView
    blur: PerView
    solarize: PerView

    @model_validator(mode="after")
    def _crop_scale_in_order(self) -> Self:
        low, high = self.crop_scale
        if not low <= high <= 1:
            raise ValueError(f"crop_scale must rise from above 0 to at most 1, got {[low, high]}")
        return self


class Lars(Section):
    """The options of LARS; see ``pipeline.training.lars.LARS``."""

    trust_coefficient: Positive
    clip: bool


class Train(Section):
    """Training of each task; see ``pipeline.training.optim.Optimisation``.

    Attributes:
        batch_size: images of one optimiser step, over all devices, nodes and parts.
        devices: GPUs of each node, or processes on a CPU.
        num_nodes: the number of machines.
        accumulate_grad_batches: the number of parts of a step's batch, one after another; a
            loss and BatchNorm see one part at a time.
        sync_batchnorm: whether BatchNorm takes its statistics over all ranks.
        scale_learning_rate: ``linear``: the rates are for 256 images a step, and are scaled
            to batch_size.
    """

    epochs: Count
    batch_size: Annotated[int, Field(ge=2, le=1_000_000)]
    devices: Annotated[int, Field(ge=1, le=1024)]
    num_nodes: Annotated[int, Field(ge=1, le=1024)]
    accumulate_grad_batches: Count
    sync_batchnorm: bool
    optimizer: Literal["adamw", "sgd", "lars"]
    lars: Lars | None = None
    learning_rate: Positive
    scale_learning_rate: Literal["none", "linear"]
    weight_decay: NonNegative
    exclude_norms_and_biases: bool
    warmup_epochs: NonNegative
    warmup_start: NonNegative
    final_learning_rate: NonNegative
    precision: Literal["auto", "32-true", "bf16-mixed"]

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
    def _rates_below_the_peak(self) -> Self:
        for name in ("warmup_start", "final_learning_rate"):
            if getattr(self, name) > self.learning_rate:
                raise ValueError(
                    f"{name} must be at most learning_rate ({self.learning_rate}), "
                    f"got {getattr(self, name)}"
                )
        return self

    @model_validator(mode="after")
    def _lars_has_its_options(self) -> Self:
        if self.optimizer == "lars" and self.lars is None:
            raise ValueError(f"lars is missing; add its options: {', '.join(Lars.model_fields)}")
        return self

    @model_validator(mode="after")
    def _warmup_within_epochs(self) -> Self:
        if self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"warmup_epochs must be below epochs ({self.epochs}), got {self.warmup_epochs}"
            )
        return self


class LinearEval(Section):
    """Linear evaluation; see ``pipeline.evaluation.linear.LinearEvaluation``."""

    epochs: Count
    batch_size: Count
    learning_rate: Positive
    milestones: list[Count]
    weight_decay: NonNegative
    standardize: bool

    @model_validator(mode="after")
    def _milestones_rise(self) -> Self:
        if sorted(set(self.milestones)) != self.milestones:
            raise ValueError(f"milestones must rise, got {self.milestones}")
        if self.milestones and self.milestones[-1] >= self.epochs:
            raise ValueError(
                f"milestones must be below epochs ({self.epochs}), got {self.milestones}"
            )
        return self
