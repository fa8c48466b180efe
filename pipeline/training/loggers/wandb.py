"""Weights & Biases: one run a task, grouped by the run of the stream."""

from __future__ import annotations

import hashlib
import os
import shutil
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import wandb
from pytorch_lightning.loggers import WandbLogger

PROJECT = "cassle"
PATIENCE = 20.0  # seconds that a server has to begin a run


class Wandb(WandbLogger):
    """Lightning's logger for Weights & Biases, which writes files unless it is told to send.

    A run on the server cannot be written anew, so each task is one of its own: a task that is
    trained again, or goes on, takes the place of its files, and on the server its points that are
    there stay. Steps count on from task to task.

    Args:
        save_dir: the folder of all runs.
        name: of the run.
        version: of the task, ``task_2``, say.
    """

    def __init__(self, *, save_dir: str, name: str, version: str) -> None:
        mode = os.environ.get("WANDB_MODE", "offline")
        held = hashlib.sha256(f"{name}/{version}".encode()).hexdigest()[:16]
        if mode == "offline":
            for earlier in Path(save_dir, "wandb").glob(f"offline-run-*-{held}"):
                shutil.rmtree(earlier, ignore_errors=True)
        super().__init__(
            name=f"{name}/{version}",
            save_dir=save_dir,
            version=held,
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            group=name,
            job_type=version,
            mode=mode,
            resume=None if mode == "offline" else "allow",
            # It would take over the process's output, and speak between its lines.
            settings=wandb.Settings(console="off", silent=True, init_timeout=PATIENCE),
        )
        # W&B warns of what Lightning gives it.
        self._wandb_init.pop("anonymous", None)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log metrics at a step; one that the server has already is passed over."""
        at = step or 0
        if at >= self.experiment.step:
            self.experiment.log(dict(metrics), step=at, commit=True)

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *more: Any, **named: Any) -> None:
        """Make the params the run's config."""
        super().log_hyperparams(params)

    def finalize(self, status: str) -> None:
        """End the run."""
        self.experiment.finish(exit_code=0 if status == "success" else 1)
