"""export: a state's backbone as files for other programs, and as a folder of the hub.

Importing this module imports no torch, so that bad input is refused at once.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.artifacts.encoder import (
    WEIGHTS,
    EncoderOrigin,
    derive_preprocessing,
    pack_encoder,
)
from pipeline.artifacts.plans.evaluate import EvaluatePlan
from pipeline.artifacts.plans.files import choose_state, require_plan
from pipeline.artifacts.plans.init import InitPlan
from pipeline.artifacts.plans.parts import DatasetPlan
from pipeline.artifacts.plans.report import ReportPlan
from pipeline.artifacts.split import read_splits
from pipeline.artifacts.timm_config import CONFIG, describe_for_timm
from pipeline.commands.push import connect, push
from pipeline.data.image_files.kinds import describe_decoding
from pipeline.errors import RunError, StateError, describe_missing
from pipeline.files.folders import require_writable_folder, write_folder
from pipeline.files.sealed_json import Json, dump_json
from pipeline.files.typed_json import as_json
from pipeline.reporting.card.card import render_card
from pipeline.reporting.card.contents import Card, Link
from pipeline.reporting.card.state_metrics import read_state_metrics
from pipeline.reporting.code_name import name_code

if TYPE_CHECKING:
    from pipeline.models.backbone import Backbone

logger = logging.getLogger(__name__)
ONNX = "backbone.onnx"
FILES = (WEIGHTS, ONNX, CONFIG, "preprocessing.json", "README.md")
ONNX_PACKAGES = ("onnx", "onnxscript")


def find_state(task: int | None) -> int:
    """Return the task number of the state to export; by default the last one of the plan.

    Raises:
        RunError: there is no plan, or it has no such state.
    """
    return choose_state(task, require_plan(ReportPlan, "report").last_state)


def require_exportable(output: Path, *, with_onnx: bool, force: bool) -> None:
    """Check that the files can be made and written.

    Raises:
        RunError: a package is not installed, or the folder cannot be written or is not empty.
    """
    require_writable_folder(output, FILES, replace=force)
    missing = [name for name in ONNX_PACKAGES if find_spec(name) is None]
    if with_onnx and missing:
        needed = describe_missing(ONNX, " and ".join(missing), "export")
        raise RunError(f"{needed}, or leave the file out with --no-onnx")


@dataclass(frozen=True)
class Wanted:
    """What an export is to have beside the weights.

    Attributes:
        with_onnx: whether to write ``backbone.onnx`` too.
        from_files: whether all preprocessing is inside of it, from a file's pixels on.
        repository: of the Hugging Face hub, to upload it to; None: nowhere.
    """

    with_onnx: bool = True
    from_files: bool = False
    repository: str | None = None


def run(task: int, output: Path, wanted: Wanted) -> None:
    """Write the backbone after a task, its preprocessing and its model card.

    Args:
        task: the task number; 0 is what the stream starts from.
        output: the output folder.
        wanted: what else there is to be.

    Raises:
        PipelineError: the splits or the state are missing or of another plan, the folder
            cannot be written, or the hub does not take it.
    """
    api = None if wanted.repository is None else connect(wanted.repository)
    from pipeline.building.trained_backbone import load_backbone

    plan = require_plan(EvaluatePlan, "evaluate")
    report = require_plan(ReportPlan, "report")
    backbone, content = load_backbone(plan, task)
    dataset = plan.dataset
    origin = EncoderOrigin(task, content, plan.backbone, derive_preprocessing(dataset))
    contents = {WEIGHTS: pack_encoder(backbone, origin)}
    if wanted.with_onnx:
        contents[ONNX] = _make_onnx(backbone, origin, from_files=wanted.from_files)
    config = describe_for_timm(origin, backbone.num_features)
    if config is not None:
        contents[CONFIG] = dump_json(config).encode()
    contents["preprocessing.json"] = dump_json(describe_preprocessing(dataset, wanted)).encode()
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
        code=name_code(),
        protocol=report.protocol,
        decoding=list_decoding(dataset),
        weights=require_plan(InitPlan, "init").weights,
        onnx_resize=origin.preprocessing.resize if wanted.from_files else None,
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
    if wanted.repository is not None:
        page = push(api, wanted.repository, output, FILES, f"State after task {task}")
        logger.info("uploaded to %s", page)


def _make_onnx(backbone: Backbone, origin: EncoderOrigin, *, from_files: bool) -> bytes:
    """Return the content of the ONNX file."""
    from pipeline.artifacts.portable import Portable, PortableFromFiles, to_onnx

    how, about = origin.preprocessing, as_json(origin)
    if from_files:
        # Of this shape no more is asked than that it is one: others go as well.
        return to_onnx(PortableFromFiles(backbone, how), (how.resize + 1, how.resize, 4), about)
    shape = (how.channels, how.image_size, how.image_size)
    return to_onnx(Portable(backbone, how.mean, how.std), shape, about)


def list_decoding(dataset: DatasetPlan) -> list[str]:
    """Return the steps from an image file to the pixels of preprocessing; none without files."""
    files = dataset.files
    return [] if files is None else describe_decoding(files, dataset.image_size)


def describe_preprocessing(dataset: DatasetPlan, wanted: Wanted) -> Json:
    """Return the content of preprocessing.json.

    Args:
        dataset: the data set as the plan describes it.
        wanted: what the export has.
    """
    how = derive_preprocessing(dataset)
    from_files = "uint8 (N, height, width, 4), red to alpha, of any height and width"
    return {
        "already_inside": [ONNX] if wanted.with_onnx else [],
        "background": list(how.background),
        "channels": how.channels,
        "colours": "grey" if how.channels == 1 else "RGB",
        "decoding": list_decoding(dataset),
        "dtype": "uint8",
        "formula": "(pixels * scale - mean) / std",
        "image_size": how.image_size,
        "interpolation": how.interpolation,
        "keep": how.keep,
        "layout": "NCHW",
        "mean": list(how.mean),
        "onnx_takes": (from_files if wanted.from_files else "pixels") if wanted.with_onnx else None,
        "range": [0, 255],
        "resize": how.resize,
        "scale": 1 / 255,
        "std": list(how.std),
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
