"""The probes that params.yaml can name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Discriminator, Field, Tag

from pipeline.config.option_types import (
    CropScale,
    Fraction,
    Milestones,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    Temperature,
)
from pipeline.config.registry.component import Component
from pipeline.data.interpolation import Interpolation

ONLINE = "online"
CONSOLIDATION_PROBE = "knn"  # that tells the tasks apart
TRANSFER_PROBES = ("knn", "linear")  # that ask what features are worth on other data
# A share of all images below 1, or a number of images a class.
ShareOrNumber = Annotated[
    Annotated[float, Field(gt=0, lt=1), Tag("share-of-images")]
    | Annotated[int, Field(ge=1, le=1_000_000), Tag("number-a-class")],
    Discriminator(lambda value: "number-a-class" if isinstance(value, int) else "share-of-images"),
]


@dataclass(frozen=True, kw_only=True)
class ProbeComponent(Component):
    """A probe, with what reports say of it.

    Attributes:
        named: its protocol in a few words, for the heads of tables.
        protocol: describes, given the probe's options, how its accuracies come about.
        while_training: whether it learns while the network is trained.
        sees_images: whether it learns from images, augmented anew each time, and not from features
            that are extracted once.
        section: the section of params.yaml that holds its options, where that is not the one
            of its name in ``evaluation``; declared in ``pipeline.config.params.Params``.
    """

    named: str
    protocol: Callable[[Mapping[str, object]], str]
    section: str = ""
    while_training: bool = False
    sees_images: bool = False


def list_while_training(names: Sequence[str]) -> list[str]:
    """Return those of some probes that learn while the network is trained."""
    return [name for name in names if PROBES[name].while_training]


def _describe_linear(given: Mapping[str, object]) -> str:
    scale = "standardised" if given["standardize"] else "plain"
    return (
        "offline linear evaluation, one linear classifier over all classes on frozen, "
        f"{scale} features of all training images (SGD, {given['epochs']} epochs)"
    )


PROBES = {
    "linear": ProbeComponent(
        path="pipeline.evaluation.linear:Linear",
        summary="a linear classifier, trained by SGD on the schedule of linear_eval",
        section="linear_eval",
        named="offline linear, on features extracted once",
        protocol=_describe_linear,
    ),
    "linear_augmented": ProbeComponent(
        path="pipeline.evaluation.linear_augmented:LinearAugmented",
        summary="a linear classifier, trained by SGD on crops and flips: the published protocol",
        options={
            "epochs": PositiveInt,
            "batch_size": PositiveInt,
            "learning_rate": PositiveFloat,
            "milestones": Milestones,
            "weight_decay": NonNegativeFloat,
            "crop_scale": CropScale,
            "interpolation": Interpolation,
            "flip": Fraction,
        },
        named="offline linear, on random crops and flips",
        protocol=lambda given: (
            "offline linear evaluation as published, one linear classifier over all classes on "
            "frozen, plain features of random crops and flips of all training images (SGD, "
            f"{given['epochs']} epochs, learning rate {given['learning_rate']})"
        ),
        sees_images=True,
    ),
    ONLINE: ProbeComponent(
        path="pipeline.evaluation.online:Online",
        summary="a linear classifier trained while the network is, which it does not change",
        options={"learning_rate": PositiveFloat},
        named="online linear, while the network trains",
        protocol=lambda given: (
            "online linear evaluation, one linear classifier over all classes, trained while the "
            "network is, on features of augmented training images of all tasks, earlier and "
            f"later ones (learning rate {given['learning_rate']})"
        ),
        while_training=True,
    ),
    "solver": ProbeComponent(
        path="pipeline.evaluation.solver:Solver",
        summary="a linear classifier, solved to convergence: no schedule to choose",
        options={"l2": PositiveFloat},
        named="offline linear, solved to convergence",
        protocol=lambda given: (
            "one linear classifier over all classes on frozen, standardised features of all "
            f"training images (L-BFGS to convergence, l2 {given['l2']})"
        ),
    ),
    "knn": ProbeComponent(
        path="pipeline.evaluation.knn:KNearestNeighbours",
        summary="the nearest training images vote, by cosine (Wu et al., 2018)",
        options={"k": PositiveInt, "temperature": Temperature},
        named="nearest neighbours",
        protocol=lambda given: (
            f"the {given['k']} nearest training images by the cosine of frozen features "
            f"(temperature {given['temperature']})"
        ),
    ),
    "nearest_mean": ProbeComponent(
        path="pipeline.evaluation.nearest_mean:NearestMean",
        summary="the nearest class mean, by cosine (Rebuffi et al., 2017)",
        named="nearest class mean",
        protocol=lambda given: "the nearest class mean by the cosine of frozen features",
    ),
    "few_labels": ProbeComponent(
        path="pipeline.evaluation.few_labels:FewLabels",
        summary="the solved classifier on a few images of each class",
        options={"labels": ShareOrNumber, "l2": PositiveFloat},
        named="offline linear, few labels",
        protocol=lambda given: (
            "one linear classifier over all classes on frozen, standardised features of few "
            f"training images (few_labels.labels {given['labels']}, L-BFGS to convergence)"
        ),
    ),
}
