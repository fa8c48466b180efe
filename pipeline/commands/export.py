"""export: a state's backbone as files for other programs.

Importing this module imports no torch, so that bad input is refused at once.
"""

from __future__ import annotations

import hashlib
import logging
from importlib.util import find_spec
from pathlib import Path

from pipeline.artifacts.plans.evaluate import EvaluatePlan
from pipeline.artifacts.plans.files import require_plan
from pipeline.artifacts.plans.init import InitPlan
from pipeline.artifacts.plans.parts import DatasetPlan
from pipeline.artifacts.plans.report import ReportPlan
from pipeline.artifacts.split import read_splits
from pipeline.data.image_files.kinds import describe_decoding
from pipeline.errors import RunError, StateError
from pipeline.files.folders import require_writable_folder, write_folder
from pipeline.files.sealed_json import Json, dump_json
from pipeline.reporting.card.card import render_card
from pipeline.reporting.card.contents import Card, Link
from pipeline.reporting.card.state_metrics import read_state_metrics

logger = logging.getLogger(__name__)
FILES = ("backbone.safetensors", "backbone.onnx", "preprocessing.json", "README.md")
ONNX_PACKAGES = ("onnx", "onnxscript")


def choose_state(task: int | None) -> int:
    """Return the task number of the state to export; by default the last one of the plan.

    Raises:
        RunError: there is no plan, or it has no such state.
    """
    last = require_plan(ReportPlan, "report").last_state
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
        task: the task number; 0 is what the stream starts from.
        output: the output folder.
        with_onnx: whether to write backbone.onnx too.

    Raises:
        PipelineError: the splits or the state are missing or of another plan, or the folder
            cannot be written.
    """
    from pipeline.artifacts.portable import Portable, to_onnx, to_safetensors
    from pipeline.building.trained_backbone import load_backbone
    from pipeline.runtime.git import git_revision

    plan = require_plan(EvaluatePlan, "evaluate")
    report = require_plan(ReportPlan, "report")
    backbone, content = load_backbone(plan, task)
    dataset = plan.dataset
    recipe = describe_preprocessing(dataset, ["backbone.onnx"] if with_onnx else [])
    about: Json = {"after_task": task, "state": content, "preprocessing": recipe}
    contents = {"backbone.safetensors": to_safetensors(backbone, about)}
    if with_onnx:
        shape = (dataset.channels, dataset.image_size, dataset.image_size)
        portable = Portable(backbone, dataset.mean, dataset.std)
        contents["backbone.onnx"] = to_onnx(portable, shape, about)
    contents["preprocessing.json"] = dump_json(recipe).encode()
    quality = read_state_metrics(report, task)
    card = Card(
        after_task=task,
        at_once=report.last_state < plan.num_tasks,
        params=dict(report.params),
        dataset=dataset,
        splits=read_splits(plan.num_tasks),
        backbone=plan.backbone,
        num_features=backbone.num_features,
        chain=_follow_chain(task),
        quality=quality,
        revision=git_revision(),
        protocol=report.protocol,
        decoding=list_decoding(dataset),
        weights=require_plan(InitPlan, "init").weights,
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


def list_decoding(dataset: DatasetPlan) -> list[str]:
    """Return the steps from an image file to the pixels of preprocessing; none without files."""
    files = dataset.files
    return [] if files is None else describe_decoding(files, dataset.image_size)


def describe_preprocessing(dataset: DatasetPlan, inside: list[str]) -> Json:
    """Return the content of preprocessing.json.

    Args:
        dataset: the data set as the plan describes it.
        inside: the files that contain the preprocessing.
    """
    return {
        "already_inside": inside,
        "decoding": list_decoding(dataset),
        "channels": dataset.channels,
        "colours": "grey" if dataset.channels == 1 else "RGB",
        "dtype": "uint8",
        "formula": "(pixels * scale - mean) / std",
        "image_size": dataset.image_size,
        "layout": "NCHW",
        "mean": dataset.mean,
        "range": [0, 255],
        "scale": 1 / 255,
        "std": dataset.std,
    }


def _follow_chain(task: int) -> list[Link]:
    """A state and those before it, as far as they are still here."""
    from pipeline.artifacts.state import read_origin

    links: list[Link] = []
    expected: str | None = None
    for number in range(task, -1, -1):
        try:
            origin, content = read_origin(number)
        except StateError:
            origin, content = None, ""
        if origin is None or (links and content != expected):
            return links if expected is None else [*links, Link(number, expected)]
        links.append(Link(number, content, origin.plan, origin.split))
        expected = origin.parent
    return links
