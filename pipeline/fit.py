"""Run the Lightning Trainer on one task."""

from __future__ import annotations

import logging
import os
import signal
import time
import warnings

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from pipeline.device import Device, Precision
from pipeline.errors import InterruptedRunError
from pipeline.learner import Learner
from pipeline.progress import TaskProgress

# Lightning greets every run with the hardware it found and a tip.
logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)


def make_deterministic(device: Device) -> None:
    """Make looking back and training give the same bytes each time."""
    # cuBLAS is deterministic only with a workspace of its own.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=device is not Device.cpu)


def fit(
    learner: Learner, loader: DataLoader[Tensor], device: Device, precision: Precision
) -> float:
    """Run the Lightning Trainer; return the seconds it took.

    Raises:
        InterruptedRunError: Ctrl-C; SIGTERM ends the process with 143.
        RunError: a loss or the projections are not finite.
    """
    with warnings.catch_warnings():
        # Images live in memory: worker processes would only copy them.
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        warnings.filterwarnings("ignore", ".*GPU available but not used.*")
        # The frozen network is in eval mode on purpose.
        warnings.filterwarnings("ignore", ".*module\\(s\\) in eval mode at the start.*")
        # Lightning's own use of torch, which its user cannot mend.
        warnings.filterwarnings("ignore", ".*LeafSpec.*is deprecated.*")
        trainer = pl.Trainer(
            max_epochs=learner.optimisation.epochs,
            accelerator="gpu" if device is Device.cuda else str(device),
            devices=1,
            precision=precision,
            # Without it Lightning switches off what make_deterministic switched on.
            deterministic=True if device is Device.cpu else "warn",
            callbacks=[TaskProgress(learner.optimisation.epochs)],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        interrupted = InterruptedRunError(
            f"interrupted; task {learner.task} is not saved, the tasks before it are: "
            "the same command begins it again"
        )
        started = time.monotonic()
        try:
            trainer.fit(learner, loader)
        except SystemExit as stop:
            # Lightning ends the process on Ctrl-C and SIGTERM: a half-trained network must
            # not be saved, and the exit code should say which it was.
            if trainer.received_sigterm:
                raise SystemExit(128 + signal.SIGTERM) from stop
            raise interrupted from stop
    if trainer.global_step < learner.total_steps:
        raise interrupted
    return time.monotonic() - started
