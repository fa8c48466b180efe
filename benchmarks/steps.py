"""Step efficiency and the price of a strategy, in one training.

    python -m benchmarks.steps SLOTS.json --blocks 6 --steps 15

The pipeline's own training runs (Lightning, order of the images, augmentation, callbacks), and
between two of its steps one step of bare arithmetic is taken, of the same strategy and of
fine-tuning in turn, on networks of their own. So all three are measured at the same time on
whatever else the machine does. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.setting import read_setting
from benchmarks.workloads import BareStep, Workload, build
from pipeline.data.batches import Images, TaskOrder, training_batches
from pipeline.data.datasets.array_source import select_all
from pipeline.distributed.group import Group
from pipeline.distributed.processes import Processes
from pipeline.runtime.device import Device, choose_device
from pipeline.runtime.elapsed import Elapsed
from pipeline.runtime.machine import read_peak_memory
from pipeline.training.callbacks.checkpoint import Checkpointing
from pipeline.training.checkpoint import lock_checkpoint
from pipeline.training.fit import fit, make_deterministic
from pipeline.training.learner import Learner
from pipeline.training.task_steps import TaskSteps


class Interleave(pl.Callback):
    """Take bare steps between the training's own steps, and time all of them.

    Args:
        bare: the steps to take between two of the training's.
        device: where they run.

    Attributes:
        full: seconds of each step of the training, from one batch to the next.
        taken: seconds of each bare step, by its name.
    """

    def __init__(self, bare: dict[str, BareStep], device: Device) -> None:
        self.bare = bare
        self.device = device
        self.full: list[float] = []
        self.taken: dict[str, list[float]] = {name: [] for name in bare}
        self._began: float | None = None

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Tensor, batch_idx: int
    ) -> None:
        """End the training's step before, take the bare ones, begin the next."""
        stopped = self._now()
        if self._began is not None:
            self.full.append(stopped - self._began)
        for name, step in self.bare.items():
            began = self._now()
            with plain_kernels():
                step()
            self.taken[name].append(self._now() - began)
        self._began = self._now()
        # The bare steps must not bring a checkpoint forward.
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, Checkpointing):
                callback.due += self._began - stopped

    def _now(self) -> float:
        if self.device is Device.cuda:
            torch.cuda.synchronize()
        elif self.device is Device.mps:
            torch.mps.synchronize()
        return time.perf_counter()


@contextmanager
def plain_kernels() -> Iterator[None]:
    """Allow nondeterministic kernels inside, like a plain training loop."""
    strict = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(False)
    yield
    torch.use_deterministic_algorithms(strict, warn_only=warn_only)


def flops(step: Callable[[], None]) -> int:
    """Return the floating-point operations of a step's convolutions and matrix products."""
    with FlopCounterMode(display=False) as counter:
        step()
    return int(counter.get_total_flops())


def train(load: Workload, interleave: Interleave, epochs: int, steps: int) -> list[float]:
    """Train as the pipeline does; return the seconds of each step but the last epoch's.

    Args:
        load: what to train.
        interleave: takes the times.
        epochs: of ``steps`` steps, that count.
        steps: steps of an epoch.
    """
    device = Device(load.device)
    places = np.arange(load.batch_size * steps) % len(load.images)
    held = Images(select_all(load.images.numpy()[places]))
    # The last step is followed by no batch, so an epoch more than counts.
    order = TaskOrder(len(held), load.batch_size, epochs + 1, seed=0, task=2)
    optimization = replace(load.optimization, epochs=epochs + 1)
    counted = TaskSteps([steps * (epochs + 1)], steps)
    learner = Learner(load.method, load.strategy, load.augment, optimization, counted, 0, 2)
    make_deterministic(device)
    batches = training_batches(held, order)
    alone = Group(Processes(), device)
    with lock_checkpoint(0, f"benchmark-{os.getpid()}", "benchmark") as checkpoint:
        fit(learner, batches, device, load.precision, checkpoint, Elapsed(), alone, 1, [interleave])
        checkpoint.path.unlink(missing_ok=True)
    return interleave.full[: epochs * steps]


def measure(load: Workload, baseline: Workload, blocks: int, steps: int) -> dict[str, float]:
    """Return a step's seconds, and its shares and prices, as medians over blocks of steps.

    Args:
        load: what to train.
        baseline: fine-tuning, which prices are relative to.
        blocks: blocks that count; one more, the first, warms up.
        steps: steps of a block, of which the last ends an epoch.
    """
    bare = {"own": load.bare(), "finetune": baseline.bare()}
    counted = {name: flops(step) for name, step in bare.items()}
    interleave = Interleave(bare, Device(load.device))
    full = train(load, interleave, blocks + 1, steps)
    per_block = {
        name: [sum(times[at : at + steps]) / steps for at in range(steps, len(full), steps)]
        for name, times in {"full": full, **interleave.taken}.items()
    }

    def ratio(above: str, below: str) -> float:
        pairs = zip(per_block[above], per_block[below], strict=False)
        return statistics.median(a / b for a, b in pairs)

    return {
        "seconds": statistics.median(per_block["full"]),
        "bare_seconds": statistics.median(per_block["own"]),
        "efficiency": ratio("own", "full"),
        "full_over_bare_finetune": ratio("full", "finetune"),
        "bare_price": ratio("own", "finetune"),
        "ideal_price": counted["own"] / counted["finetune"],
        "gflop": counted["own"] / 1e9,
    }


def rate(load: Workload, steps: int) -> dict[str, float]:
    """Return the images a second and the peak memory of training alone.

    Args:
        load: what to train.
        steps: steps of an epoch; of two epochs, of which the first warms up.
    """
    full = train(load, Interleave({}, Device(load.device)), 2, steps)[steps:]
    return {
        "images_per_second": load.batch_size * len(full) / sum(full),
        "peak_mib": read_peak_memory(Device(load.device)),
    }


def main() -> None:
    """Measure the slots of a file and print the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("slots", type=Path)
    parser.add_argument("--blocks", type=int, help="none: images a second and memory alone")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--device", type=Device, default=Device.auto)
    given = parser.parse_args()
    setting = read_setting(given.slots)
    device = str(choose_device(given.device))
    load = build(setting.own, setting.images, device)
    if given.blocks is None:
        print(json.dumps(rate(load, given.steps)))
    else:
        baseline = build(setting.finetune, setting.images, device)
        print(json.dumps(measure(load, baseline, given.blocks, given.steps)))


if __name__ == "__main__":
    from pipeline.runtime.before_torch import keep_freed_memory

    keep_freed_memory()
    main()
