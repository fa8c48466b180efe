"""The paths of all files that stages read and write, relative to the project's root."""

from __future__ import annotations

import os
from pathlib import Path

MAX_TASKS = 1000  # of a stream; dvc.yaml has slots for as many as `cassle slots` lists

PARAMS = Path("params.yaml")
CHAIN = Path("dvc.yaml")
SLOTS = Path("slots")  # the slots that are not in dvc.yaml itself
CODE = Path("data/code.json")  # which code an installed program has
PLAN = Path("data/plan")
SPLITS = Path("data/splits")
SPLIT_ORIGIN = SPLITS / "origin.json"
SPLIT_INDEX = SPLITS / "index.json"
# Of what is measured while tasks train: all splits for the online classifier, the probes' plan.
SPLIT_ONLINE = SPLITS / "online.json"
STATES = Path("data/states")
LOGS = Path("data/logs")
ONLINE = Path("data/online")  # classifiers of the probe online
EVALUATIONS = Path("data/evaluations.json")
FEATURES = Path("data/features.safetensors")
ENCODER = Path("data/encoder.safetensors")
VIEWS = Path("data/views.png")
REPORTS = Path("reports")
OUTPUT_FOLDERS = (SPLITS, STATES, LOGS, ONLINE, EVALUATIONS.parent, REPORTS)  # that stages write to
PRESETS = Path("presets")
LEDGER = Path("docs/reproduced.md")  # made of the two CSV files beside it
REPRODUCED = LEDGER.with_suffix(".csv")
PUBLISHED = LEDGER.with_name("published.csv")
RAW = Path("data/raw")  # what loaders fetch
SCRATCH = Path(".scratch")  # can be deleted; in the main checkout, except for locks
STORES = SCRATCH / "images"
CHECKPOINTS = SCRATCH / "checkpoints"
LOCKS = SCRATCH / "locks"
SWEEPS = SCRATCH / "sweeps"  # bookkeeping, not results
SWEEP_ROOT = "CASSLE_ROOT"  # in the environment of a sweep's runs: the main checkout
RUN_LOGS = SCRATCH / "logs"  # of the loggers that params name
EXTRACTED = SCRATCH / "features"  # by state and images
WEIGHTS = SCRATCH / "weights"  # of networks that are named, as fetched
EMBEDDINGS = SCRATCH / "embeddings"  # of folders that were searched, by encoder
ROWS = SCRATCH / "rows"  # evaluations of states, by all they were made from


def find_data(root: str) -> Path:
    """Return a data set's folder; what loaders fetch lies in the main checkout alone.

    Args:
        root: as params name it.
    """
    path = Path(root)
    return main_checkout() / path if RAW in (path, *path.parents) else path


def main_checkout() -> Path:
    """Return the root of the main checkout; queued experiments and runs of sweeps have copies.

    DVC sets its variable for stages itself, in a copy that it did not make to that copy.
    """
    return Path(os.environ.get(SWEEP_ROOT) or os.environ.get("DVC_ROOT", ""))


def plan(slot: str) -> Path:
    """Return the path of a plan file, e.g. of ``train_2``."""
    return PLAN / f"{slot}.json"


def split(task: int) -> Path:
    """Return the path of a task's split: its images and classes."""
    return SPLITS / f"task_{task}.json"


def state(task: int) -> Path:
    """Return the path of the state after task ``task``; 0: what the stream starts from."""
    return STATES / f"task_{task}.safetensors"


def log(task: int) -> Path:
    """Return the path of task ``task``'s training log: loss terms by epoch."""
    return LOGS / f"task_{task}.csv"


def timing(task: int) -> Path:
    """Return the path of task ``task``'s timing: seconds, device, passes."""
    return LOGS / f"task_{task}.json"


def online(task: int) -> Path:
    """Return the path of the online classifier after task ``task``; ``null`` in it: none."""
    return ONLINE / f"task_{task}.safetensors"


def train_outputs(task: int) -> tuple[Path, ...]:
    """Return the output files of training a task."""
    return state(task), log(task), timing(task), online(task)


def find_shipped(path: str | Path) -> Path:
    """Return a file or folder that comes with the project: here, or where the program lies.

    Args:
        path: relative to the project's root.
    """
    return Path(path) if Path(path).exists() else SHIPPED / path


ROOT = Path(__file__).parent.parent
# What a project begins with, as patterns: `cassle new` copies it, and a wheel holds it.
PROJECT = (
    *(
        "params.yaml",
        "dvc.yaml",
        "presets/*.yaml",
        "presets/*.csv",
        "data/.gitignore",
        "data/raw/.gitkeep",
    ),
    *(".dvc/config", ".dvc/.gitignore", ".dvc/plots/*", ".dvcignore", ".gitignore"),
    ".gitattributes",
)
EMBEDDED = (
    *("data/fashion_mnist/*.gz", "data/fashion_mnist/SHA256SUMS"),
    *("data/fashion_mnist/README.md", "data/fashion_mnist/LICENSE"),
)
# The embedded images, and what `cassle example-stream` makes others of.
EXAMPLES = (
    *EMBEDDED,
    *("data/emoji/*.webp", "data/emoji/emoji.csv"),
    *("data/emoji/SHA256SUMS", "data/emoji/README.md"),
)
SHIPPED_FOLDER = Path("pipeline/shipped")  # of a wheel; in a clone it is the root
SHIPPED = next((at for at in (ROOT / SHIPPED_FOLDER, ROOT) if (at / PARAMS).is_file()), ROOT)
