"""Parts that the plans of several stages have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.data.image_files.file_options import FileOptions
from pipeline.files.sealed_json import JsonValue
from pipeline.models.norms import Norm


@dataclass(frozen=True)
class ComponentPlan:
    """A method, strategy or probe.

    Attributes:
        name: in params.yaml.
        path: ``module:class``.
        options: keyword arguments of the class.
    """

    name: str
    path: str
    options: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True)
class BackbonePlan:
    """The network of the features; see ``pipeline.models.backbone.Backbone``.

    Attributes:
        name: in params.yaml.
        path: ``module:class``.
        channels: of the images.
        stem: the name of the first layers; None: it has none to choose.
        options: keyword arguments of the class.
        norm: of a ResNet of ours, whose class takes it; others have norms of their own.
    """

    name: str
    path: str
    channels: int
    stem: str | None
    options: Mapping[str, JsonValue] = field(default_factory=dict)
    norm: Norm = "batch"


@dataclass(frozen=True)
class DomainsPlan:
    """Domains made of a data set that has none.

    Attributes:
        path: ``module:class`` of what makes them.
        domains: their names, in the order of the stream.
    """

    path: str
    domains: Sequence[str]


@dataclass(frozen=True)
class DatasetPlan:
    """A data set and how its images enter the network.

    Attributes:
        name: in params.yaml.
        path: ``module:class``; see ``pipeline.data.source.Source``.
        root: the folder that holds it.
        full: whether all of it is used, not a subset.
        classes: names by label; none of image files, whose folders say them.
        channels: of the images.
        image_size: height and width in pixels.
        mean: of each channel of the training images, scaled to [0, 1].
        std: their standard deviation.
        files: what shapes image files; None of other data sets.
        transformed: the domains that are made of it; None: none are.
    """

    name: str
    path: str
    root: str
    full: bool
    classes: Sequence[str]
    channels: int
    image_size: int
    mean: Sequence[float]
    std: Sequence[float]
    files: FileOptions | None = None
    transformed: DomainsPlan | None = None
