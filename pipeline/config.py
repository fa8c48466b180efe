"""params.yaml: read here and nowhere else, validated whole before anything runs.

There are no hidden defaults: every param has to be given in params.yaml.
Importing this module imports no torch.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    create_model,
    model_validator,
)
from pydantic_core import ErrorDetails

from pipeline.data.tasks import given_order
from pipeline.errors import ParamsError, closest
from pipeline.layout import MAX_TASKS
from pipeline.registry import (
    BACKBONES,
    DATASETS,
    METHODS,
    PROBES,
    STRATEGIES,
    TRANSFORMATIONS,
    Component,
    Dataset,
    NotNegative,
    Positive,
)
from pipeline.yaml_text import read_mapping

MAX_PROBLEMS = 20  # that one message lists

Probability = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
# One probability for both views, or a list of two, one a view.
PerView = Annotated[
    Annotated[Probability, Tag("both-views")]
    | Annotated[list[Probability], Field(min_length=2, max_length=2), Tag("one-a-view")],
    Discriminator(lambda value: "one-a-view" if isinstance(value, list) else "both-views"),
]


class Section(BaseModel):
    """A section of params.yaml: no unknown keys, no silent conversions."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Data(Section):
    """Which images there are.

    Attributes:
        root: the folder that holds them.
        full: all of the data set instead of the subset.
        domains: which domains, in the order of scenario: domain; None: the data set's own.
        image_size: of a data set of files, in pixels; None: the data set's own.
        resize: of files: their shorter side in pixels, of which the central square is kept and
            cropped to image_size; None: image_size.
        store: of files: decode them once, or each time they are read.
        workers: of files: threads that decode and processes that read.
        on_bad_image: of files that cannot be read.
        holdout: share of each class to test on, where there is no test part.
        class_list: a file of the classes to take; see ``pipeline.data.imagenet100``.
        labelled_root: what evaluation uses where the images have no labels.
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
    """How views are made; see ``pipeline.data.recipe.ViewAugment``."""

    crop_scale: Annotated[list[Positive], Field(min_length=2, max_length=2)]
    flip: PerView
    jitter: PerView
    brightness: NotNegative
    contrast: NotNegative
    saturation: NotNegative
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
    """What only LARS takes; see ``pipeline.lars.LARS``."""

    trust_coefficient: Positive
    clip: bool


class Train(Section):
    """Training of each task; see ``pipeline.optim.Optimisation``.

    Attributes:
        batch_size: images of one step of the optimiser, over all devices, nodes and parts.
        devices: of each node: GPUs, or processes on a CPU.
        num_nodes: machines.
        accumulate_grad_batches: parts of a step's batch that pass one after another; a loss
            and BatchNorm see one of them at a time.
        sync_batchnorm: whether BatchNorm takes its statistics over all processes.
        scale_learning_rate: ``linear``: the rates are those for 256 images a step.
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
    weight_decay: NotNegative
    exclude_norms_and_biases: bool
    warmup_epochs: NotNegative
    warmup_start: NotNegative
    final_learning_rate: NotNegative
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
    weight_decay: NotNegative
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


def _options_model(name: str, component: Component) -> type[Section]:
    fields: dict[str, object] = {key: (kind, ...) for key, kind in component.options.items()}
    model: type[Section] = create_model(name, __base__=Section, **fields)  # type: ignore[call-overload]
    return model


def _choice_model(
    title: str, components: Mapping[str, Component], **fixed: object
) -> type[Section]:
    """Return a section with one optional sub-section for each component with options."""
    fields: dict[str, object] = {
        name: (_options_model(name, component) | None, None)
        for name, component in components.items()
        if component.options
    }
    model: type[Section] = create_model(title, __base__=Section, **fixed, **fields)  # type: ignore[call-overload]
    return model


StemParam = Literal["conv3", "conv3_stride2", "conv7_maxpool"]
BackboneParams = _choice_model("Backbone", BACKBONES, name=(str, ...), stem=(StemParam, ...))
MethodsParams = _choice_model("Methods", METHODS)
StrategiesParams = _choice_model("Strategies", STRATEGIES)
EvaluationParams = _choice_model(
    "Evaluation",
    PROBES,
    probes=(Annotated[list[str], Field(min_length=1, max_length=20)], ...),
    headline=(str, ...),
)


class Params(Section):
    """All of params.yaml."""

    dataset: str
    scenario: Literal["class", "data", "domain"]
    num_tasks: int
    class_order: Annotated[list[str | int], Field(min_length=1)] | None
    method: str
    strategy: Annotated[str, Field(max_length=200)]
    distill_weight: NotNegative
    seed: Seed
    split_seed: Seed
    data: Data
    augment: AugmentParams
    backbone: BackboneParams  # type: ignore[valid-type]
    methods: MethodsParams  # type: ignore[valid-type]
    strategies: StrategiesParams  # type: ignore[valid-type]
    train: Train
    evaluation: EvaluationParams  # type: ignore[valid-type]
    linear_eval: LinearEval

    @model_validator(mode="after")
    def _names_exist_and_fit(self) -> Self:
        dataset = _named("dataset", self.dataset, DATASETS)
        _chosen("method", self.method, METHODS, "methods", self.methods)
        _strategies_compose(self.strategy.split("+"))
        for name in self.strategy.split("+"):
            _chosen("strategy", name, STRATEGIES, "strategies", self.strategies)
        _chosen("backbone.name", self.backbone.name, BACKBONES, "backbone", self.backbone)  # type: ignore[attr-defined]
        _probes_fit(self.evaluation)
        if not 1 <= self.num_tasks <= MAX_TASKS:
            raise ValueError(
                f"num_tasks must be from 1 to {MAX_TASKS} (the task slots of dvc.yaml), "
                f"got {self.num_tasks}"
            )
        _stream_fits(self, dataset)
        return self


Entry = TypeVar("Entry", bound=Component)


def _named(key: str, name: str, components: Mapping[str, Entry]) -> Entry:
    if name not in components:
        raise ValueError(f"{key}: {_short(name)} is unknown; {closest(name[:80], components)}")
    return components[name]


def _chosen(
    key: str, name: str, components: Mapping[str, Component], section: str, given: BaseModel
) -> None:
    component = _named(key, name, components)
    if component.options and getattr(given, name) is None:
        raise ValueError(
            f"{section}.{name} is missing; add its options: {', '.join(component.options)}"
        )


def _stream_fits(params: Params, dataset: Dataset) -> None:
    """Check the stream's params as far as can be said without looking at the images."""
    size = params.data.image_size or dataset.image_size
    if dataset.files and params.data.resize is not None and params.data.resize < size:
        raise ValueError(
            f"data.resize must be at least data.image_size ({size}), got {params.data.resize}"
        )
    classes = len(dataset.classes)
    if params.scenario == "class" and 0 < classes < params.num_tasks:
        raise ValueError(
            f"num_tasks must be at most {classes}, the classes of {params.dataset} "
            f"(scenario: class gives each task at least one), got {params.num_tasks}"
        )
    if params.scenario == "class" and classes and params.class_order is not None:
        given_order(params.class_order, dataset.classes)
    for name in params.data.domains or ():
        if (params.data.domains or ()).count(name) > 1:
            raise ValueError(f"data.domains: {_short(name)} is there twice")
    if params.scenario == "domain" and not dataset.files:
        domains = params.data.domains or TRANSFORMATIONS
        for name in domains:
            if name not in TRANSFORMATIONS:
                raise ValueError(
                    f"data.domains: '{name}' is unknown; {closest(name, TRANSFORMATIONS)}"
                )
        if params.num_tasks > len(domains):
            raise ValueError(
                f"num_tasks must be at most {len(domains)} with scenario: domain, one task for "
                f"each of {', '.join(domains)}; got {params.num_tasks}"
            )


def _strategies_compose(names: list[str]) -> None:
    if len(names) == 1:
        return
    for name in names:
        if names.count(name) > 1:
            raise ValueError(
                f"strategy: {_short(name)} is there twice in {_short('+'.join(names))}"
            )
        if name == "finetune" or (name in STRATEGIES and STRATEGIES[name].whole_stream):
            others = "+".join(other for other in names if other != name)
            raise ValueError(
                f"strategy: '{name}' does not compose, got {_short('+'.join(names))}; use "
                f"'{name}' or {_short(others)}"
            )


def _probes_fit(given: BaseModel) -> None:
    names: list[str] = given.probes  # type: ignore[attr-defined]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"evaluation.probes: {_short(name)} is there twice in {_short(names)}")
        _chosen("evaluation.probes", name, PROBES, "evaluation", given)
    headline: str = given.headline  # type: ignore[attr-defined]
    if headline not in names:
        raise ValueError(
            f"evaluation.headline: {_short(headline)} is not among evaluation.probes; "
            f"{closest(headline[:80], names)}"
        )


def options(
    params: Params, kind: Literal["method", "strategy", "backbone", "probe"], name: str
) -> dict[str, object]:
    """Return the options of a method, strategy, backbone or probe that is in use."""
    components, given = {
        "method": (METHODS, params.methods),
        "strategy": (STRATEGIES, params.strategies),
        "backbone": (BACKBONES, params.backbone),
        "probe": (PROBES, params.evaluation),
    }[kind]
    component = components[name]
    top = {key: getattr(params, key) for key in component.top_level}
    values = {k: v.model_dump() if isinstance(v, BaseModel) else v for k, v in top.items()}
    if component.options:
        values |= getattr(given, name).model_dump()
    return values


def dataset_entry(params: Params) -> Dataset:
    """Return the chosen data set's registry entry."""
    return DATASETS[params.dataset]


def load(path: Path) -> Params:
    """Return the validated params.

    Raises:
        ParamsError: the file is missing, is not YAML, or holds something that cannot work;
            one line for each problem.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ParamsError(
            f"{path} is missing; run this in the project's root, or name the file with --params"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ParamsError(f"{path} cannot be read: {error}") from error
    return parse(text, str(path))


def parse(text: str, source: str) -> Params:
    """Return the validated params of a text.

    Args:
        text: YAML.
        source: what the messages call it.

    Raises:
        ParamsError: as in ``load``.
    """
    values = read_mapping(text, source)
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        details = _without_echoes(error.errors())
        problems = [_explain(detail) for detail in details[:MAX_PROBLEMS]]
        if len(details) > MAX_PROBLEMS:
            problems.append(f"{len(details) - MAX_PROBLEMS} more problems")
        raise ParamsError("\n".join(f"{source}: {line}" for line in problems)) from error


def _without_echoes(details: list[ErrorDetails]) -> list[ErrorDetails]:
    """Drop ``missing`` where an unknown key beside it is that key misspelt."""
    unknown = [d["loc"] for d in details if d["type"] == "extra_forbidden"][:MAX_PROBLEMS]

    def misspelt(location: tuple[int | str, ...]) -> bool:
        beside = [str(other[-1]) for other in unknown if other[:-1] == location[:-1]]
        return bool(difflib.get_close_matches(str(location[-1]), beside, n=1))

    return [d for d in details if d["type"] != "missing" or not misspelt(d["loc"])]


def _explain(detail: ErrorDetails) -> str:
    """Return one line for one of pydantic's errors."""
    # A union's branch appears in the location beside the keys; only real keys are shown.
    parts = [part for part in detail["loc"] if isinstance(part, int) or part.isidentifier()]
    where = ".".join(str(part) for part in parts)
    kind = detail["type"]
    if kind == "extra_forbidden":
        section = ".".join(str(part) for part in detail["loc"][:-1])
        allowed = _keys_of(detail["loc"][:-1])
        place = f" in {section}" if section else ""
        return (
            f"{_short(detail['loc'][-1])}{place} is unknown; "
            f"{closest(str(detail['loc'][-1])[:80], allowed)}"
        )
    if kind == "missing":
        return f"{where} is missing; add it, every param must be given"
    if kind == "value_error":
        reason = str(detail["ctx"]["error"])
        return f"{where}.{reason}" if where else reason
    message = detail["msg"][0].lower() + detail["msg"][1:]
    return f"{where or 'keys'}: {message}, got {_short(detail['input'])}"


def _short(value: object) -> str:
    """Return a value as YAML readers know it, cut where it is long."""
    if isinstance(value, int) and value.bit_length() > 200:
        return "a number of more than 60 digits"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _keys_of(location: tuple[int | str, ...]) -> list[str]:
    """Return the keys that are allowed in the section at ``location``."""
    model: type[BaseModel] = Params
    for part in location:
        annotation = model.model_fields[str(part)].annotation
        candidates = [annotation, *getattr(annotation, "__args__", ())]
        model = next(c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel))
    return list(model.model_fields)
