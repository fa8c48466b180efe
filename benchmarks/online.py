"""What an online stream of small minibatches costs, over the arithmetic of large batches.

    python -m benchmarks.online                          # minibatches of 10, 128 replayed
    python -m benchmarks.online --strategies er cla_e --memories fifo

The pipeline trains on an online stream, and between two of its steps one step of bare arithmetic
is taken: fine-tuning on a batch of 128 images whose views are in place, on a network of its own.
So both are slowed alike by other work on the machine. The bare step is scaled to as many images as
an online step has, those from memory among them: that is what they would cost in large batches.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from pathlib import Path

from benchmarks.steps import Interleave
from benchmarks.workloads import build
from pipeline.artifacts.plans.train import TrainPlan
from pipeline.building.training import build_strategy
from pipeline.config.presets import merge
from pipeline.config.read import parse_params
from pipeline.config.registry.strategies import STRATEGIES
from pipeline.config.resolve import resolve
from pipeline.data.batches import Images, MinibatchOrder, training_batches
from pipeline.data.datasets.array_source import select_all
from pipeline.distributed.group import Group
from pipeline.distributed.processes import Processes
from pipeline.layout import PARAMS
from pipeline.runtime.before_torch import before_torch
from pipeline.runtime.device import Device
from pipeline.runtime.elapsed import Elapsed
from pipeline.seeding import generator, seeded_initialization
from pipeline.strategies.base import TaskStart
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.fit import fit, make_deterministic
from pipeline.training.learner import Learner
from pipeline.training.task_steps import TaskSteps

LARGE = 128  # images of a bare step


def plan_task(strategy: str, memory: str, size: int, replayed: int, large: int) -> TrainPlan:
    """Return the training of task 1 of an online stream.

    Args:
        strategy: its name.
        memory: its memory.
        size: images of a minibatch.
        replayed: images from memory beside them.
        large: images that the memory holds at most.
    """
    own = f"{{memory: {memory}, memory_size: {large}, batch_share: {replayed / size}}}"
    changes = f"strategy: {strategy}\nstream: {{online: true}}\ntrain: {{batch_size: {size}}}\n" + (
        f"strategies: {{{strategy}: {own}}}\n" if STRATEGIES[strategy].options else ""
    )
    text, _ = merge(PARAMS.read_text(encoding="utf-8"), changes)
    return resolve(parse_params(text, f"{PARAMS} online")).train[1]


def measure(
    plan: TrainPlan, baseline: TrainPlan, filled: int, steps: int
) -> tuple[float, float, float]:
    """Return a step's images over those of a bare one, its cost over their arithmetic, and seconds.

    Args:
        plan: of the online stream.
        baseline: of fine-tuning in large batches.
        filled: images that come before steps count.
        steps: that count.
    """
    device = Device.cpu
    bare, load = (build(each, each.dataset, device) for each in (baseline, plan))
    interleave = Interleave({"bare": bare.bare()}, device)
    assert plan.online_stream is not None, "the plan is of an online stream"
    passes, size = plan.online_stream.passes, load.batch_size
    total = steps + passes * (1 + filled // size)
    minibatches = total // passes
    total = passes * minibatches
    with seeded_initialization(0, "benchmark"):
        strategy = build_strategy(plan)
        if plan.strategies:
            strategy.begin_task(
                TaskStart(
                    task=1,
                    method=load.method,
                    carried={},
                    previous_images=load.images[:0],
                    augment=load.augment,
                    normalize=load.augment.normalize,
                    batch_size=size,
                    device=device,
                    generators=lambda *purpose: generator(0, "benchmark", *purpose),
                    online=True,
                )
            )
    learner = Learner(
        load.method,
        strategy,
        load.augment,
        load.optimization,
        TaskSteps([total], total, minibatches),
        seed=0,
        task=1,
    )
    make_deterministic(device)
    order = MinibatchOrder(len(load.images), size, total, seed=0, task=1)
    order.minibatches = minibatches
    batches = training_batches(Images(select_all(load.images.numpy())), order)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Checkpoint(Path(folder), os.getpid(), "", "")
        alone = Group(Processes(), device)
        fit(
            learner,
            batches,
            device,
            load.precision,
            checkpoint,
            Elapsed(),
            alone,
            num_nodes=1,
            observers=[interleave],
            show_progress=False,
        )
    share = strategy.count_images(size, len(plan.views)) / (LARGE * len(plan.views))
    full, taken = (
        interleave.full[-steps:],
        interleave.taken["bare"][: len(interleave.full)][-steps:],
    )
    # Whole minibatches: what comes into a memory comes once in each.
    groups = range(0, steps - passes + 1, passes)
    ratios = [sum(full[at : at + passes]) / sum(taken[at : at + passes]) for at in groups]
    return share, statistics.median(ratios) / share, statistics.median(full)


def main() -> None:
    """Measure what the arguments say, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else "")
    parser.add_argument("--minibatch", type=int, default=10)
    parser.add_argument("--replayed", type=int, default=128)
    parser.add_argument("--memory-size", type=int, default=300)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--strategies", nargs="+", default=["finetune", "er", "cla_e", "cla_r"])
    parser.add_argument("--memories", nargs="+", default=["reservoir", "fifo", "minred"])
    given = parser.parse_args()
    before_torch()
    text, _ = merge(PARAMS.read_text(encoding="utf-8"), f"train: {{batch_size: {LARGE}}}\n")
    baseline = resolve(parse_params(text, str(PARAMS))).train[1]
    print(
        "| strategy | memory | images of a step over 128 | cost over theirs in large batches | ms |"
    )
    print("| --- | --- | ---: | ---: | ---: |")
    for strategy in given.strategies:
        options = STRATEGIES[strategy].options
        for memory in given.memories if "memory" in options else ["-"]:
            plan = plan_task(strategy, memory, given.minibatch, given.replayed, given.memory_size)
            share, ratio, seconds = measure(plan, baseline, given.memory_size, given.steps)
            row = f"{share:.2f} | {ratio:.2f} | {1000 * seconds:.1f}"
            print(f"| {strategy} | {memory} | {row} |", flush=True)


if __name__ == "__main__":
    main()
