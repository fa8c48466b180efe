"""params.yaml as shipped, with some of its keys changed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pipeline import layout

ROOT = Path(__file__).parent.parent.parent
SHIPPED = (ROOT / layout.PARAMS).read_text()
Changes = Mapping[str, object]  # values by key; a key in a section is written train.epochs
# What makes a run take seconds; everything else is as shipped.
SMALL: Changes = {
    "num_tasks": 3,
    "backbone.small_resnet.widths": [4, 8],
    "methods.simclr.projector": [16, 8],
    "strategies.cassle.predictor_hidden": 16,
    "train.epochs": 2,
    "train.batch_size": 16,
    "train.precision": "32-true",  # the same on all machines
    "train.warmup_epochs": 1,
    "linear_eval.epochs": 3,
    "linear_eval.milestones": [2],
    "evaluation.solver.l2": 0.01,  # the solver ends in few iterations
}

# Likewise for folders of image files, with what a task of ten images or so needs.
SMALL_FILES: Changes = {
    "dataset": "image_folder",
    "data.image_size": 16,
    "train.batch_size": 8,
    "evaluation.few_labels.labels": 1,
    "evaluation.knn.k": 3,
}
# And for a stream of such folders.
SMALL_FOLDERS: Changes = {
    **SMALL_FILES,
    "scenario": "folders",
    "data.root": "stream",
    "num_tasks": None,
}


def with_changes(text: str, changes: Changes) -> str:
    """Return params as YAML, comments left out, with values changed by their keys.

    Args:
        text: params as YAML.
        changes: values of keys that are there.
    """
    params: dict[str, Any] = yaml.load(text, yaml.CSafeLoader)
    change(params, changes)
    return yaml.dump(params, Dumper=yaml.CSafeDumper, sort_keys=False)


def change(params: dict[str, Any], changes: Changes) -> None:
    """Set values by their keys, each of which has to be there."""
    for key, value in changes.items():
        *sections, name = key.split(".")
        section = params
        for each in sections:
            section = section[each]
        assert name in section, f"{key!r} is no param"
        section[name] = value


def without(text: str, key: str) -> str:
    """Return params as YAML, without a key and all below it."""
    params: dict[str, Any] = yaml.load(text, yaml.CSafeLoader)
    *sections, name = key.split(".")
    section = params
    for each in sections:
        section = section[each]
    del section[name]
    return yaml.dump(params, Dumper=yaml.CSafeDumper, sort_keys=False)


def write_params(root: Path, changes: Changes) -> None:
    """Write the shipped params with changes to a folder."""
    (root / layout.PARAMS).write_text(with_changes(SHIPPED, changes))
