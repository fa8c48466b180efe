"""Run the Lightning Trainer on one task."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Sequence

import pytorch_lightning as pl
import torch
import torch.utils.deterministic
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning.strategies import DDPStrategy
from torch import Tensor
from torch.utils.data import DataLoader

from pipeline.distributed.group import Group
from pipeline.runtime.arithmetic import Precision
from pipeline.runtime.device import Device
from pipeline.runtime.elapsed import Elapsed
from pipeline.runtime.signals import StopRequest
from pipeline.training.callbacks.checkpoint import Checkpointing
from pipeline.training.callbacks.epoch_logging import EpochLogging
from pipeline.training.callbacks.progress import TaskProgress
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.learner import Learner

# Lightning greets every run with the hardware it found and a tip.
logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)


def skip_nvml_check(device: Device) -> None:
    """Stop fused Adam from probing NVML for GPUs in each step of a process on the CPU.

    Lightning has torch search through NVML, whose library is then looked for anew each time:
    needed where a process that uses a GPU is to be forked. Asking CUDA takes a twentieth of that.
    """
    if device is Device.cpu:
        os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)


def make_deterministic(device: Device) -> None:
    """Make looking back and training give the same bytes each time."""
    # cuBLAS is deterministic only with a workspace of its own.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=device is not Device.cpu)
    # It would fill all new memory with NaN, a sixth of a step, to show what reads it unwritten.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def fit(
    learner: Learner,
    loader: DataLoader[Tensor],
    device: Device,
    precision: Precision,
    checkpoint: Checkpoint,
    before: Elapsed,
    group: Group,
    num_nodes: int,
    observers: Sequence[pl.Callback] = (),
    loggers: EpochLogging | None = None,
    show_progress: bool = True,
) -> Elapsed:
    """Run the Lightning Trainer to the end of the task; return the time that took.

    For Lightning the task is one epoch: its batches come from the first step that is left to
    the last, and the learner counts epochs. So training goes on at any step, and nothing of
    Lightning's own progress has to be saved.

    Args:
        learner: new, or restored.
        loader: the batches that are left; none where only the outputs were not written.
        device: where to run.
        precision: Lightning's name of it.
        checkpoint: where training is saved.
        before: what earlier processes took.
        group: the processes that train together.
        num_nodes: the machines they are on.
        observers: are told what happens, before the others.
        loggers: of the first process; None: there are none.
        show_progress: whether the first process shows how far training is.

    Raises:
        InterruptedRunError: a signal stopped it; training is saved.
        RunError: a loss or the projections are not finite.
    """
    skip_nvml_check(device)
    processes = group.processes
    stop = StopRequest(prints=processes.first)
    checkpointing = Checkpointing(checkpoint, group, stop, before)
    callbacks: list[pl.Callback] = [checkpointing]
    if loggers is not None:
        callbacks.append(loggers)
    if processes.first and show_progress:
        callbacks.append(TaskProgress(learner.steps.epochs))
    with warnings.catch_warnings():
        # Images live in memory: worker processes would only copy them.
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        warnings.filterwarnings("ignore", ".*GPU available but not used.*")
        # On a cluster one process is meant where one was asked for.
        warnings.filterwarnings("ignore", ".*`srun` command is available.*")
        # The frozen network is in eval mode on purpose.
        warnings.filterwarnings("ignore", ".*module\\(s\\) in eval mode at the start.*")
        # torch 2.11 knows no other word for it.
        warnings.filterwarnings("ignore", ".*`broadcast_buffers` is deprecated.*")
        # A 1×1 kernel's strides have two spellings.
        warnings.filterwarnings("ignore", ".*Grad strides do not match bucket view strides.*")
        # Lightning's own use of torch, which its user cannot mend.
        warnings.filterwarnings("ignore", ".*LeafSpec.*is deprecated.*")
        trainer = pl.Trainer(
            max_epochs=1,
            accelerator="gpu" if device is Device.cuda else str(device),
            devices=processes.count // num_nodes,
            num_nodes=num_nodes,
            strategy=_DataParallel(len(learner.steps.phases)) if processes.count > 1 else "auto",
            accumulate_grad_batches=learner.parts,
            # The batches of the loader are each process's own.
            use_distributed_sampler=False,
            precision=precision,
            # Without it Lightning switches off what make_deterministic switched on.
            deterministic=True if device is Device.cpu else "warn",
            callbacks=[*observers, *callbacks],
            logger=False if loggers is None else loggers.loggers,
            # Of self.log; Lightning wants no less in a task.
            log_every_n_steps=min(50, max(1, len(loader))),
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        with stop.listening():
            if len(loader):
                trainer.fit(learner, loader)
            # In the last step: the stage stops here, not dvc with the one after it.
            checkpointing.stop_if_asked(learner)
    return checkpointing.stopwatch.read()


class _DataParallel(DDPStrategy):
    """DDP among processes that have met already, which leaves a failed training as it is.

    Buffers are the same everywhere, so none is sent around. Lightning would move the network of a
    failed training to the CPU, which waits for the kernels on the GPU: for ever, where they wait
    for another rank.

    Args:
        phases: of the task.
    """

    def __init__(self, phases: int) -> None:
        super().__init__(
            cluster_environment=LightningEnvironment(),
            broadcast_buffers=False,
            # A phase need not train all parameters.
            find_unused_parameters=phases > 1,
        )
        self.failed = False

    def on_exception(self, exception: BaseException) -> None:
        """Note that training has failed, or was stopped."""
        super().on_exception(exception)
        self.failed = True

    def teardown(self) -> None:
        """Clean up after a success."""
        if not self.failed:
            super().teardown()
