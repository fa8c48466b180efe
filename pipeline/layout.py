"""The paths of all files that stages read and write, relative to the project's root."""

from __future__ import annotations

import os
from pathlib import Path

MAX_TASKS = 20  # the task slots of dvc.yaml

PARAMS = Path("params.yaml")
PLAN = Path("data/plan")
SPLITS = Path("data/splits")
SPLIT_ORIGIN = SPLITS / "origin.json"
SPLIT_INDEX = SPLITS / "index.json"
STATES = Path("data/states")
LOGS = Path("data/logs")
EVALUATIONS = Path("data/evaluations")
FEATURES = Path("data/features")
VIEWS = Path("data/views.png")
REPORTS = Path("reports")
PRESETS = Path("presets")
SCRATCH = Path(".scratch")  # can be deleted; in the main checkout, except for locks
STORES = SCRATCH / "images"
CHECKPOINTS = SCRATCH / "checkpoints"
LOCKS = SCRATCH / "locks"
RUN_LOGS = SCRATCH / "logs"  # of the loggers that params name
AHEAD = SCRATCH / "ahead"  # with the outputs, wherever those are


def main_checkout() -> Path:
    """Return the root of the main checkout; a queued experiment of DVC runs in a copy of it."""
    return Path(os.environ.get("DVC_ROOT", ""))


def plan(slot: str) -> Path:
    """Return the path of a plan file, e.g. of ``train_2``."""
    return PLAN / f"{slot}.json"


def split(task: int) -> Path:
    """Return the path of a task's split: its images and classes."""
    return SPLITS / f"task_{task}.json"


def state(task: int) -> Path:
    """Return the path of the state after task ``task``; 0 is the random network."""
    return STATES / f"task_{task}.safetensors"


def log(task: int) -> Path:
    """Return the path of task ``task``'s training log: loss terms by epoch."""
    return LOGS / f"task_{task}.csv"


def timing(task: int) -> Path:
    """Return the path of task ``task``'s timing: seconds, device, passes."""
    return LOGS / f"task_{task}.json"


def evaluation(task: int) -> Path:
    """Return the path of the accuracies after task ``task``."""
    return EVALUATIONS / f"task_{task}.json"


def features(task: int) -> Path:
    """Return the path of the test images' features after task ``task``."""
    return FEATURES / f"task_{task}.safetensors"


def inputs(stage: str, task: int) -> tuple[Path, ...]:
    """Return the input files of ``evaluate`` for a task, or of ``views``, without the images."""
    own = (plan(f"evaluate_{task}"), state(task)) if stage == "evaluate" else (plan("views"),)
    return *own, SPLIT_INDEX


def outputs(stage: str, task: int) -> tuple[Path, ...]:
    """Return the output files of ``train`` or ``evaluate`` for a task, or of ``views``."""
    if stage == "train":
        return state(task), log(task), timing(task)
    return (evaluation(task), features(task)) if stage == "evaluate" else (VIEWS,)


ROOT = Path(__file__).parent.parent
