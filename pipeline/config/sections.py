"""The sections of params.yaml, with the type and range of each value."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.config.option_types import (
    Milestones,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    require_milestones,
)
from pipeline.config.section import Choices, Section
from pipeline.config.user_paths import UserPath
from pipeline.models.norms import Norm
from pipeline.models.stems import Stem


class BackboneChoice(Choices):
    """The backbone, with the options of all.

    Attributes:
        name: of the registry, or ``timm/`` and the name of a network of timm.
        stem: the first layers of a ResNet of ours; see ``pipeline.models.stems``.
        norm: of a ResNet of ours; see ``pipeline.models.norms``.
        patch_size: of a transformer of timm, in pixels; None: by the size of the images
            (``vit_*``), or the model's own.
        weights: what it starts from: a file, a folder or the name of a model; None: random.
        freeze_until: its last part that no task changes; None: all train.
    """

    name: Annotated[str, Field(max_length=200)]
    stem: Stem
    norm: Norm
    patch_size: Annotated[int, Field(ge=1, le=1024)] | None
    weights: UserPath | None
    freeze_until: Annotated[str, Field(min_length=1, max_length=200)] | None


class EvaluationChoice(Choices):
    """The probes, with the options of all.

    Attributes:
        probes: are measured on every state.
        headline: the one of the matrix.
        transfer: other labelled data: names of data sets, or folders.
        every: epochs between two measurements while a task trains; None: there are none.
        while_training: the probes of these.
        while_training_cost: of training's work, the share that they may take.
    """

    probes: Annotated[list[str], Field(min_length=1, max_length=20)]
    headline: str
    transfer: Annotated[list[UserPath], Field(max_length=20)]
    every: PositiveInt | None
    while_training: Annotated[list[str], Field(min_length=1, max_length=20)]
    while_training_cost: Annotated[float, Field(gt=0, le=1)]


RATES_ARE_FOR = 256  # images a step, as the field's recipes give them

# Params that say how a run is carried out and watched. They shape no state and no result beyond
# rounding, so `data/plan/machine.json`, `reading.json` or `probing.json` has them, and `cassle
# compare` passes over them.
MACHINE_PARAMS = frozenset(
    {
        "data.store",
        "data.workers",
        "train.devices",
        "train.num_nodes",
        "train.loggers",
        "evaluation.every",
        "evaluation.while_training",
        "evaluation.while_training_cost",
    }
)


class Train(Choices):
    """Training of each task; see ``pipeline.training.optim.Optimization``.

    Each optimizer of the registry that has options has a section of its name beside these.

    Attributes:
        budget: images that pass forward and backward through the network in each task, each view
            counted, in place of epochs; None: epochs decide.
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
    budget: PositiveInt | None
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
