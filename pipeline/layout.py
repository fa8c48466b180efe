"""Where the stages read and write, relative to the project's root."""

from __future__ import annotations

from pathlib import Path

MAX_TASKS = 20  # the task slots of dvc.yaml

PARAMS = Path("params.yaml")
PLAN = Path("data/plan")
SPLITS = Path("data/splits")
SPLIT_ORIGIN = SPLITS / "origin.json"
STATES = Path("data/states")
LOGS = Path("data/logs")
EVALUATIONS = Path("data/evaluations")
FEATURES = Path("data/features")
VIEWS = Path("data/views.png")
REPORTS = Path("reports")
PRESETS = Path("presets")
STORES = Path(".scratch/images")  # in the main checkout, also for queued experiments


def plan(slot: str) -> Path:
    """Return the resolved params of a slot, e.g. ``train_2``."""
    return PLAN / f"{slot}.json"


def split(task: int) -> Path:
    """Return what task ``task`` holds."""
    return SPLITS / f"task_{task}.json"


def state(task: int) -> Path:
    """Return the network after task ``task``; 0 is the random one."""
    return STATES / f"task_{task}.safetensors"


def log(task: int) -> Path:
    """Return the loss terms of task ``task``, epoch by epoch."""
    return LOGS / f"task_{task}.csv"


def timing(task: int) -> Path:
    """Return how long training task ``task`` took, and where."""
    return LOGS / f"task_{task}.json"


def evaluation(task: int) -> Path:
    """Return the accuracies after task ``task``."""
    return EVALUATIONS / f"task_{task}.json"


def features(task: int) -> Path:
    """Return the features of all test images after task ``task``."""
    return FEATURES / f"task_{task}.safetensors"
