"""The strategies that params.yaml can name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pipeline.config.option_types import (
    Fraction,
    Memory,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Temperature,
    Weight,
    Width,
)
from pipeline.config.registry.component import Component

_ALIGNMENT = {
    "memory": Memory,
    "memory_size": NonNegativeInt,
    "batch_share": NonNegativeFloat,
    "weight": Weight,
    "aligner_hidden": Width,
}

STRATEGIES = {
    "finetune": Component(
        "pipeline.strategies.finetune:Finetune",
        "go on training with the method's loss alone: the lower bound",
        composes=False,
        without_boundaries=True,
    ),
    "cassle": Component(
        "pipeline.strategies.cassle:Cassle",
        "predict the past representation with the method's own loss (Fini et al., 2022)",
        {
            "predictor": Literal["mlp", "none"],
            "predictor_hidden": Width,
            "carry_predictor": bool,
            "teacher_batchnorm": Literal["batch", "running"],
        },
        top_level=("distill_weight",),
    ),
    "ewc": Component(
        "pipeline.strategies.ewc:EWC",
        "hold parameters that mattered to the tasks before (Kirkpatrick et al., 2017)",
        {
            "weight": Weight,
            "fisher_batches": PositiveInt,
            "decay": Fraction,
        },
        looks_back=True,
    ),
    "er": Component(
        "pipeline.strategies.er:ExperienceReplay",
        "experience replay: join each batch with images from a memory",
        {"memory": Memory, "memory_size": NonNegativeInt, "batch_share": NonNegativeFloat},
        looks_back=True,
        without_boundaries=True,
    ),
    "der": Component(
        "pipeline.strategies.der:DarkExperienceReplay",
        "keep the projections of the images in a memory (Buzzega et al., 2020)",
        {
            "memory": Memory,
            "memory_size": NonNegativeInt,
            "batch_share": NonNegativeFloat,
            "weight": Weight,
        },
        looks_back=True,
        without_boundaries=True,
    ),
    "lump": Component(
        "pipeline.strategies.lump:Lump",
        "mix each image with one from a memory (Madaan et al., 2022)",
        {"memory": Memory, "memory_size": NonNegativeInt, "alpha": PositiveFloat},
        looks_back=True,
        without_boundaries=True,
    ),
    "cla_e": Component(
        "pipeline.strategies.cla_e:CLAE",
        "align replayed images with a network that follows slowly (Cignoni et al., 2025)",
        {**_ALIGNMENT, "momentum": Fraction},
        from_first_task=True,
        without_boundaries=True,
    ),
    "cla_r": Component(
        "pipeline.strategies.cla_r:CLAR",
        "align replayed images with what is stored of them (Cignoni et al., 2025)",
        _ALIGNMENT,
        from_first_task=True,
        without_boundaries=True,
    ),
    "less_forget": Component(
        "pipeline.strategies.less_forget:LessForget",
        "keep the directions of the features (Hou et al., 2019)",
        {"weight": Weight, "teacher_batchnorm": Literal["batch", "running"]},
    ),
    "pfr": Component(
        "pipeline.strategies.pfr:PFR",
        "predict the past features from the present ones (Gomez-Villa et al., 2022)",
        {
            "weight": Weight,
            "predictor_hidden": Width,
            "teacher_batchnorm": Literal["batch", "running"],
        },
    ),
    "pnr": Component(
        "pipeline.strategies.pnr:PNR",
        "predict the past, with negatives from the past network (Cha et al., 2024)",
        {
            "weight": Weight,
            "negative_weight": Weight | None,
            "predictor_hidden": Width,
            "teacher_batchnorm": Literal["batch", "running"],
        },
        composes=False,
        methods=("simclr", "mocov2plus", "byol", "barlow_twins", "vicreg"),
    ),
    "osiris": Component(
        "pipeline.strategies.osiris:Osiris",
        "tell the task's images from a memory's in a space of their own (Zhang et al., 2024)",
        {
            "variant": Literal["r", "d"],
            "memory": Memory,
            "memory_size": NonNegativeInt,
            "batch_share": NonNegativeFloat,
            "weight": Weight,
            "temperature": Temperature,
            "teacher_batchnorm": Literal["batch", "running"],
        },
        looks_back=True,
        composes=False,
        methods=("simclr",),
    ),
    "pocon": Component(
        "pipeline.strategies.pocon:POCON",
        "train an expert, then join it with the past network (Gomez-Villa et al., 2024)",
        {"weight": Weight, "consolidation": PositiveFloat, "adapter_hidden": Width},
        composes=False,
        in_phases=True,
    ),
    "offline": Component(
        "pipeline.strategies.offline:Offline",
        "learn all tasks at once: the upper bound",
        {"match": Literal["epochs", "steps"]},
        whole_stream=True,
        composes=False,
        without_boundaries=True,
    ),
}


def learns_at_once(strategy: str) -> bool:
    """Return whether a strategy learns all tasks at once; not if it is unknown.

    Args:
        strategy: its name, or several joined by ``+``.
    """
    names = strategy.split("+")
    return any(name in STRATEGIES and STRATEGIES[name].whole_stream for name in names)


def list_acting(
    strategies: Sequence[str], task: int, *, from_start: bool, online: bool = False
) -> list[str]:
    """Return those of a run's strategies that act on a task.

    On task 1 that is one that learns all tasks at once, or that acts from the first step on.
    Where task 1 looks back too, it is each that looks at the network alone: there are no images
    of a task before.

    Args:
        strategies: their names.
        task: its number, from 1.
        from_start: whether task 1 looks back.
        online: whether the stream is seen once, in small minibatches.
    """
    if task > 1:
        return list(strategies)
    return [name for name in strategies if _acts_first(name, from_start, online)]


def _acts_first(name: str, from_start: bool, online: bool) -> bool:
    """Whether a strategy acts on task 1."""
    strategy = STRATEGIES[name]
    if strategy.whole_stream or strategy.from_first_task:
        return True
    if name == "finetune":
        return False
    return (online and strategy.without_boundaries) or (from_start and not strategy.looks_back)


# What holds several strategies at once, e.g. cassle+er.
COMPOSITE = "pipeline.strategies.composite:Composite"


def reads_past(strategies: Sequence[str], *, online: bool) -> bool:
    """Return whether one of some strategies reads the images of a task once that has ended.

    In an online stream a memory takes images in as they come.

    Args:
        strategies: their names.
        online: whether the stream is seen once.
    """
    entries = [STRATEGIES[name] for name in strategies]
    return any(each.looks_back and not (online and each.without_boundaries) for each in entries)
