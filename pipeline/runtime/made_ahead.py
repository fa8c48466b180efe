"""Outputs of later stages that an earlier stage's process computed in advance.

DVC runs every evaluation, and the sheet of views, in a process of its own, and most of such a
process's time goes into importing torch. So the first evaluation that DVC runs also computes
the others' outputs (``pipeline.stages.evaluate_ahead``). Their processes find them here: they
start without torch and without the command line, and end at once.

The folder of such outputs is named by a digest of all their inputs. If an input has changed,
the folder is not found and the stage computes its outputs itself. So the folder may stay until
the next ``dvc repro``.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from pipeline import layout
from pipeline.errors import PipelineError, RunError
from pipeline.files.atomic import write_bytes
from pipeline.files.sealed_json import Json, digest, file_digest, read_sealed, write_sealed
from pipeline.files.typed_json import get_typed
from pipeline.runtime.locks import lock_outputs

MANIFEST = "manifest.json"
# The environment that affects rounding, as far as it is known without torch.
ROUNDING = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "CUDA_VISIBLE_DEVICES")


def folder_for(stage: str, task: int) -> Path:
    """Return the folder of a stage's precomputed outputs, keyed by the digest of its inputs.

    Raises:
        OSError: an input is missing.
    """
    made_from: Json = {
        "inputs": [file_digest(path) for path in layout.inputs(stage, task)],
        "environment": {name: os.environ.get(name) for name in ROUNDING},
        "cores": os.process_cpu_count() if hasattr(os, "process_cpu_count") else os.cpu_count(),
        "torch": version("torch"),
    }
    return layout.AHEAD / f"{stage}_{task}-{digest(made_from)[:12]}"


def seal_precomputed(folder: Path, said: Sequence[str]) -> None:
    """Seal the precomputed outputs in a folder with a manifest of their digests.

    Args:
        folder: the folder from ``folder_for``; each file has the name of its output.
        said: the lines that the stage would have printed.
    """
    held: Json = {path.name: file_digest(path) for path in sorted(folder.iterdir())}
    write_sealed(folder / MANIFEST, {"held": held, "said": list(said)})


def finish_if_precomputed(arguments: Sequence[str]) -> bool:
    """Write a stage's outputs from the precomputed ones; return whether they were usable.

    Args:
        arguments: the arguments of ``python -m pipeline``.
    """
    match arguments:
        case ["evaluate" as stage, number, "--planned"] if number.isdecimal():
            return use_precomputed(stage, int(number))
        case ["views" as stage, "--planned"]:
            return use_precomputed(stage, 0)
    return False


def use_precomputed(stage: str, task: int) -> bool:
    """Write a stage's outputs from the precomputed ones; return whether they were usable."""
    if not layout.AHEAD.is_dir():
        return False
    try:
        folder = folder_for(stage, task)
        if not (folder / MANIFEST).is_file():
            return False
        manifest = read_sealed(folder / MANIFEST, RunError, "the stage does its own work") or {}
        held = get_typed(manifest, dict[str, str], "held")
        said = get_typed(manifest, tuple[str, ...], "said")
        outputs = layout.outputs(stage, task)
        contents = [(folder / path.name).read_bytes() for path in outputs]
        for path, content in zip(outputs, contents, strict=True):
            if hashlib.sha256(content).hexdigest() != held[path.name]:
                return False
        name = stage if stage == "views" else f"{stage}_{task}"
        with lock_outputs(name, outputs):
            for path, content in zip(outputs, contents, strict=True):
                write_bytes(path, content)
    except (OSError, ValueError, KeyError, PipelineError):
        return False
    shutil.rmtree(folder, ignore_errors=True)
    for line in said:
        print(line, file=sys.stderr, flush=True)
    return True
