"""The resolved plan of every stage, made from params."""

from __future__ import annotations

from typing import Literal, cast

from pydantic import BaseModel

from pipeline import layout
from pipeline.config.fingerprint import code_fingerprint
from pipeline.config.params import Params
from pipeline.config.registry.backbones import BACKBONES
from pipeline.config.registry.datasets import DATASETS, TRANSFORMATIONS, TRANSFORMED, Dataset
from pipeline.config.registry.methods import METHODS
from pipeline.config.registry.optimizers import OPTIMIZERS
from pipeline.config.registry.probes import PROBES
from pipeline.config.registry.strategies import COMPOSITE, STRATEGIES
from pipeline.files.sealed_json import Json, JsonValue, digest, file_digest
from pipeline.layout import ROOT


def options(
    params: Params,
    kind: Literal["method", "strategy", "backbone", "optimizer", "probe"],
    name: str,
) -> dict[str, object]:
    """Return the options of a method, strategy, backbone, optimizer or probe that is in use."""
    components, given = {
        "method": (METHODS, params.methods),
        "strategy": (STRATEGIES, params.strategies),
        "backbone": (BACKBONES, params.backbone),
        "optimizer": (OPTIMIZERS, params.train),
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


TEMPLATES = ROOT / "pipeline" / "reporting" / "page" / "templates"


FILE_OPTIONS = ("on_bad_image", "holdout", "class_list", "domains")


MACHINE_PARAMS = {"devices", "num_nodes", "sync_batchnorm", "scale_learning_rate"}


RATES = ("learning_rate", "warmup_start", "final_learning_rate")


RATES_ARE_FOR = 256  # images a step, as the field's recipes give them


VIEW_PARAMS = ("flip", "jitter", "grey", "blur", "solarize")


def resolve(params: Params) -> dict[str, Json | None]:
    """Return what each slot of the chain needs to know, by the name of its file."""
    slots: dict[str, Json | None] = {"prepare": _prepare(params), "init": _init(params)}
    before = slots["init"]
    last = 1 if _at_once(params) else params.num_tasks
    for task in range(1, layout.MAX_TASKS + 1):
        within = task <= last
        slots[f"train_{task}"] = _train(params, task, digest(before)) if within else None
        before = slots[f"train_{task}"]
    for task in range(layout.MAX_TASKS + 1):
        within = task <= last
        made_by = slots["init" if task == 0 else f"train_{task}"]
        slots[f"evaluate_{task}"] = _evaluate(params, task, digest(made_by)) if within else None
    slots["machine"] = {"devices": params.train.devices, "num_nodes": params.train.num_nodes}
    slots["reading"] = reading(params)
    slots["views"] = _sample_views(params)
    evaluations = [slots[f"evaluate_{task}"] for task in range(last + 1)]
    slots["report"] = _report(
        params, [digest(slot) for slot in evaluations], digest(slots["views"])
    )
    return slots


def _dataset(params: Params) -> Json:
    entry = dataset_entry(params)
    dataset: Json = {
        "name": params.dataset,
        "class": entry.path,
        "root": params.data.root,
        "full": params.data.full,
        "classes": list(entry.classes),
        "channels": entry.channels,
        "image_size": entry.image_size,
        "mean": list(entry.mean),
        "std": list(entry.std),
    }
    if entry.files:
        size = params.data.image_size or entry.image_size
        files = params.data.model_dump(include=set(FILE_OPTIONS))
        files |= {"resize": params.data.resize or size}
        return dataset | {"full": True, "image_size": size, "files": _json(files)}
    if params.scenario == "domain":
        domains = list(params.data.domains or TRANSFORMATIONS)
        dataset["transformed"] = {"class": TRANSFORMED, "domains": domains}
    return dataset


def _data_modules(params: Params) -> list[str]:
    """Return the modules that read the images."""
    entry = dataset_entry(params)
    made = [TRANSFORMED.partition(":")[0]] if "transformed" in _dataset(params) else []
    return [entry.module, *made]


def labelled(params: Params) -> Json:
    """Return the folder that evaluation uses where the images have no labels; empty: none."""
    if not dataset_entry(params).files or params.data.labelled_root is None:
        return {}
    folder = DATASETS["image_folder"]
    dataset = _dataset(params)
    files = {**cast(Json, dataset["files"]), "domains": None, "class_list": None}
    found: Json = {
        **dataset,
        "name": "image_folder",
        "class": folder.path,
        "root": params.data.labelled_root,
        "files": files,
    }
    return {"labelled": found}


def reading(params: Params) -> Json:
    """Return how files are read, which changes no image."""
    return {"store": params.data.store, "workers": params.data.workers}


def _backbone(params: Params) -> Json:
    name: str = params.backbone.name  # type: ignore[attr-defined]
    return {
        "name": name,
        "class": BACKBONES[name].path,
        "channels": dataset_entry(params).channels,
        "stem": params.backbone.stem,  # type: ignore[attr-defined]
        "options": _json(options(params, "backbone", name)),
    }


def _json(values: dict[str, object]) -> Json:
    return {key: _json_value(value) for key, value in values.items()}


def _json_value(value: object) -> JsonValue:
    if isinstance(value, list | tuple):
        return [_json_value(item) for item in value]
    if isinstance(value, dict):
        return _json(value)
    assert value is None or isinstance(value, str | int | float | bool)
    return value


def cutting(params: Params) -> Json:
    """Return which images there are and how they are cut into tasks."""
    slot: Json = {
        "dataset": _dataset(params),
        "scenario": params.scenario,
        "num_tasks": params.num_tasks,
        "split_seed": params.split_seed,
        "slots": layout.MAX_TASKS,
    }
    if params.scenario == "class" and params.class_order is not None:
        slot["class_order"] = list(params.class_order)
    return slot


def _prepare(params: Params) -> Json:
    return cutting(params) | {
        "code": code_fingerprint("pipeline.stages.prepare", *_data_modules(params))
    }


def _init(params: Params) -> Json:
    module = BACKBONES[params.backbone.name].module  # type: ignore[attr-defined]
    return {
        "seed": params.seed,
        "backbone": _backbone(params),
        "code": code_fingerprint("pipeline.stages.init", module),
    }


def _train(params: Params, task: int, previous: str) -> Json:
    method = METHODS[params.method]
    modules = [
        "pipeline.stages.train_task",
        *_data_modules(params),
        BACKBONES[params.backbone.name].module,  # type: ignore[attr-defined]
        method.module,
        OPTIMIZERS[params.train.optimizer].module,
    ]
    slot: Json = {
        "task": task,
        "seed": params.seed,
        "dataset": _dataset(params),
        "views": _views(params),
        "backbone": _backbone(params),
        "method": {
            "name": params.method,
            "class": method.path,
            "options": _json(options(params, "method", params.method)),
        },
        "train": _training(params),
        "previous": previous,
    }
    if _at_once(params):
        # The splits of the other tasks are no dependency of the stage in dvc.yaml.
        slot["whole_stream"] = {"tasks": params.num_tasks, "splits": digest(_prepare(params))}
    if task > 1 or _at_once(params):
        names = params.strategy.split("+")
        modules += [STRATEGIES[name].module for name in names]
        if len(names) > 1:
            slot["compose"] = COMPOSITE
            modules.append(COMPOSITE.partition(":")[0])
        slot["strategies"] = [
            {
                "name": name,
                "class": STRATEGIES[name].path,
                "options": _json(options(params, "strategy", name)),
            }
            for name in names
        ]
    return slot | {"code": code_fingerprint(*modules)}


def _at_once(params: Params) -> bool:
    """Return whether the strategy learns all tasks at once."""
    return any(STRATEGIES[name].whole_stream for name in params.strategy.split("+"))


def _training(params: Params) -> Json:
    """Return the section train as far as it shapes a result beyond rounding.

    Options of an optimizer that is not chosen do not count. How many processes share a batch
    counts where each has a BatchNorm of its own: else they give what one gives, as threads do.
    """
    train = params.train
    given = _json(train.model_dump(exclude={*MACHINE_PARAMS, *OPTIMIZERS}))
    given["optimizer"] = {
        "name": train.optimizer,
        "class": OPTIMIZERS[train.optimizer].path,
        "options": _json(options(params, "optimizer", train.optimizer)),
    }
    given["batchnorm_groups"] = 1 if train.sync_batchnorm else train.devices * train.num_nodes
    if train.scale_learning_rate == "linear":
        for name in RATES:
            given[name] = getattr(train, name) * (train.batch_size / RATES_ARE_FOR)
    return given


def _views(params: Params) -> list[JsonValue]:
    """Return one recipe a view."""
    shared = _json(params.augment.model_dump())
    views: list[JsonValue] = []
    for view in range(2):
        own: Json = {}
        for name in VIEW_PARAMS:
            value = shared[name]
            own[name] = value[view] if isinstance(value, list) else value
        views.append(shared | own)
    return views


def _evaluate(params: Params, task: int, made_by: str) -> Json:
    names: list[str] = params.evaluation.probes  # type: ignore[attr-defined]
    from_folder = labelled(params)
    modules = (
        "pipeline.stages.evaluate",
        *_data_modules(params),
        *([DATASETS["image_folder"].module] if from_folder else []),
        BACKBONES[params.backbone.name].module,  # type: ignore[attr-defined]
        *(PROBES[name].module for name in names),
    )
    return {
        "task": task,
        "num_tasks": params.num_tasks,
        "seed": params.seed,
        "dataset": _dataset(params),
        "backbone": _backbone(params),
        "probes": [
            {
                "name": name,
                "class": PROBES[name].path,
                "options": _json(options(params, "probe", name)),
            }
            for name in names
        ],
        "headline": params.evaluation.headline,  # type: ignore[attr-defined]
        "state": made_by,
        "code": code_fingerprint(*modules),
        **from_folder,
    }


def _sample_views(params: Params) -> Json:
    return {
        "dataset": _dataset(params),
        "views": _views(params),
        "num_tasks": params.num_tasks,
        "code": code_fingerprint("pipeline.stages.views", *_data_modules(params)),
    }


def _report(params: Params, evaluations: list[str], views: str) -> Json:
    return {
        "evaluations": evaluations,
        "views": views,
        "templates": {path.name: file_digest(path) for path in sorted(TEMPLATES.iterdir())},
        "params": _json(params.model_dump(exclude_none=True)),
        "code": code_fingerprint("pipeline.stages.report"),
    }
