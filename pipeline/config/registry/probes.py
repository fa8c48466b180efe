"""The probes that params.yaml can name."""

from __future__ import annotations

from typing import Annotated

from pydantic import Discriminator, Field, Tag

from pipeline.config.option_types import PositiveFloat, PositiveInt, Temperature
from pipeline.config.registry.component import Component

# A share of all images below 1, or a number of images a class.
ShareOrNumber = Annotated[
    Annotated[float, Field(gt=0, lt=1), Tag("share-of-images")]
    | Annotated[int, Field(ge=1, le=1_000_000), Tag("number-a-class")],
    Discriminator(lambda value: "number-a-class" if isinstance(value, int) else "share-of-images"),
]


PROBES = {
    "linear": Component(
        "pipeline.evaluation.linear:Linear",
        "a linear classifier, trained by SGD on the schedule of linear_eval",
        top_level=("linear_eval",),
    ),
    "solver": Component(
        "pipeline.evaluation.solver:Solver",
        "a linear classifier, solved to convergence: no schedule to choose",
        {"l2": PositiveFloat},
    ),
    "knn": Component(
        "pipeline.evaluation.knn:KNearestNeighbours",
        "the nearest training images vote, by cosine (Wu et al., 2018)",
        {"k": PositiveInt, "temperature": Temperature},
    ),
    "nearest_mean": Component(
        "pipeline.evaluation.nearest_mean:NearestMean",
        "the nearest class mean, by cosine (Rebuffi et al., 2017)",
    ),
    "few_labels": Component(
        "pipeline.evaluation.few_labels:FewLabels",
        "the solved classifier on a few images of each class",
        {"labels": ShareOrNumber, "l2": PositiveFloat},
    ),
}
