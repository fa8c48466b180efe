"""export: a state's backbone as files for other programs.

Importing this module imports no torch, so that bad input is refused at once.
"""

from __future__ import annotations

import hashlib
import logging
from importlib.util import find_spec
from pathlib import Path
from typing import cast

from pipeline import layout
from pipeline.artifacts.plan import made_by, part, require_slot
from pipeline.artifacts.split import learnt_from, read_splits
from pipeline.building.backbone import build_backbone
from pipeline.errors import RunError, StateError
from pipeline.files.folders import require_writable_folder, write_folder
from pipeline.files.sealed_json import Json, dump_json
from pipeline.reporting.card.card import Card, render_card
from pipeline.reporting.card.state_metrics import read_state_metrics

logger = logging.getLogger(__name__)
FILES = ("backbone.safetensors", "backbone.onnx", "preprocessing.json", "README.md")
ONNX_PACKAGES = ("onnx", "onnxscript")


def choose_state(task: int | None) -> int:
    """Return the task number of the state to export; by default the last one of the plan.

    Raises:
        RunError: there is no plan, or it has no such state.
    """
    last = len(cast(list[str], require_slot("report")["evaluations"])) - 1
    if task is not None and task > last:
        raise RunError(f"there is no state {task} in the plan; name one from 0 to {last}")
    return last if task is None else task


def lock_name(output: Path) -> str:
    """Return the name of an output folder's lock, the same for all spellings of its path."""
    return f"export_{hashlib.sha256(str(output.resolve()).encode()).hexdigest()[:12]}"


def require_exportable(output: Path, *, with_onnx: bool, force: bool) -> None:
    """Check that the files can be made and written.

    Raises:
        RunError: a package is not installed, or the folder cannot be written or is not empty.
    """
    require_writable_folder(output, FILES, replace=force)
    missing = [name for name in ONNX_PACKAGES if find_spec(name) is None]
    if with_onnx and missing:
        raise RunError(
            f"backbone.onnx needs {' and '.join(missing)}, not installed here; run "
            "`pip install 'cassle-pipeline[export]'`, or leave the file out with --no-onnx"
        )


def run(task: int, output: Path, *, with_onnx: bool) -> None:
    """Write the backbone after a task, its preprocessing and its model card.

    Args:
        task: the task number; 0 is the random network.
        output: the output folder.
        with_onnx: whether to write backbone.onnx too.

    Raises:
        PipelineError: the splits or the state are missing or of another plan, or the folder
            cannot be written.
    """
    from pipeline.artifacts.portable import Portable, to_onnx, to_safetensors
    from pipeline.artifacts.state import load_state
    from pipeline.models.loading import load_module
    from pipeline.runtime.git import git_revision

    slot, report = require_slot(f"evaluate_{task}"), require_slot("report")
    path = layout.state(task)
    stage = "cassle init" if task == 0 else f"cassle train {task}"
    origin: Json = {"task": task, "backbone": slot["backbone"]}
    if task > 0:
        origin |= learnt_from(task)
    origin |= made_by("init" if task == 0 else f"train_{task}", slot["state"])
    state = load_state(path, origin, f"run `{stage}` first (or `dvc repro`)")
    backbone = build_backbone(part(slot, "backbone"))
    load_module(backbone, state.section("method.backbone"), path)

    dataset, num_tasks = part(slot, "dataset"), cast(int, slot["num_tasks"])
    recipe = describe_preprocessing(dataset, ["backbone.onnx"] if with_onnx else [])
    about: Json = {"after_task": task, "state": state.content, "preprocessing": recipe}
    contents = {"backbone.safetensors": to_safetensors(backbone, about)}
    if with_onnx:
        mean, std = cast(list[float], dataset["mean"]), cast(list[float], dataset["std"])
        size = cast(int, dataset["image_size"])
        shape = (cast(int, dataset["channels"]), size, size)
        contents["backbone.onnx"] = to_onnx(Portable(backbone, mean, std), shape, about)
    contents["preprocessing.json"] = dump_json(recipe).encode()
    quality = read_state_metrics(report, task)
    card = Card(
        after_task=task,
        at_once=len(cast(list[str], report["evaluations"])) - 1 < num_tasks,
        params=part(report, "params"),
        dataset=dataset,
        splits=read_splits(num_tasks),
        backbone=part(slot, "backbone"),
        num_features=backbone.num_features,
        chain=_chain(task),
        quality=quality,
        revision=git_revision(),
        files={
            name: (len(content), hashlib.sha256(content).hexdigest())
            for name, content in contents.items()
        },
    )
    contents["README.md"] = render_card(card).encode()
    write_folder(output, contents, FILES)
    for reason in quality.missing:
        logger.warning("the card lacks metrics: %s", reason)
    logger.info("state %d in %s: %s", task, output, ", ".join(contents))


def describe_preprocessing(dataset: Json, inside: list[str]) -> Json:
    """Return the content of preprocessing.json.

    Args:
        dataset: the data set as the plan describes it.
        inside: the files that contain the preprocessing.
    """
    return {
        "already_inside": inside,
        "channels": dataset["channels"],
        "colours": "grey" if dataset["channels"] == 1 else "RGB",
        "dtype": "uint8",
        "formula": "(pixels * scale - mean) / std",
        "image_size": dataset["image_size"],
        "layout": "NCHW",
        "mean": dataset["mean"],
        "range": [0, 255],
        "scale": 1 / 255,
        "std": dataset["std"],
    }


def _chain(task: int) -> list[Json]:
    """Return the headers of a state and of its ancestors, as far as their files still exist."""
    links = [_header(layout.state(task))]
    for before in range(task - 1, -1, -1):
        parent = links[-1].get("parent")
        header = _header(layout.state(before))
        if header.get("content") != parent:
            return [*links, {"task": before, "content": parent}]
        links.append(header)
    return links


def _header(path: Path) -> Json:
    """Return the header of a state file; empty if it cannot be read."""
    from pipeline.files.tensors import read_tensors

    try:
        return read_tensors(path, StateError, "")[1]
    except StateError:
        return {}
