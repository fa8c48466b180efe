"""Steps of CaSSLe in float32 and in bfloat16, in turn, with networks of each kind.

    python -m benchmarks.precision                                    # all, about five minutes
    python -m benchmarks.precision --networks small_resnet --steps 16

The data set and the params are those of params.yaml. Prints a Markdown table, a row as it is
measured: the best of the turns. ``train.precision: auto`` goes by what it showed. With ``--json``
it also measures the rate of large float32 matrix products, for the share of it that a step reaches.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping

from benchmarks.plans import plan_task_2
from benchmarks.processes import Measurements
from pipeline import layout
from pipeline.artifacts.plans.train import TrainPlan
from pipeline.config.read import load_params
from pipeline.config.resolve import resolve
from pipeline.runtime.arithmetic import cpu_multiplies_bf16
from pipeline.runtime.before_torch import before_torch
from pipeline.runtime.device import Device, choose_device
from pipeline.runtime.machine import describe_machine

PRECISIONS = "32-true", "bf16-mixed"
# What differs from params.yaml, by the name of a row.
NETWORKS: Mapping[str, str] = {
    "small_resnet": "{}",
    "small_resnet, GroupNorm": "backbone: {norm: group}",
    "resnet18": "{backbone: {name: resnet18, stem: conv3}, train: {batch_size: 32}}",
    "resnet50": "{backbone: {name: resnet50}, train: {batch_size: 32}}",
    "vit_tiny": "{backbone: {name: vit_tiny, patch_size: 7}, train: {batch_size: 32}}",
    "timm/resnet18": "{backbone: {name: timm/resnet18}, train: {batch_size: 32}}",
    "timm/mobilenetv3_small_100": (
        "{backbone: {name: timm/mobilenetv3_small_100}, train: {batch_size: 32}}"
    ),
}


def time_network(
    plans: Mapping[str, TrainPlan], steps: int, turns: int, device: Device
) -> Measurements:
    """Return the time of a step of CaSSLe in each precision.

    Args:
        plans: of the training, by precision.
        steps: steps of a turn that count.
        turns: of each precision.
        device: where to train.

    Returns:
        The seconds of a step by the precision's name, the best of the turns, and ``batch_size``.
    """
    from pipeline.commands.step_times import time_steps

    found: dict[str, list[float]] = {name: [] for name in PRECISIONS}
    for _ in range(turns):
        for precision, plan in plans.items():
            found[precision].append(time_steps(plan, 2000, steps, 2, device).seconds)
    best = {name: min(seconds) for name, seconds in found.items()}
    return {"batch_size": plans[PRECISIONS[0]].train.batch_size, **best}


def plan_precisions(changes: str) -> dict[str, TrainPlan]:
    """Return the training of task 2 in each precision, long enough for any number of steps."""
    return {
        name: plan_task_2(
            "cassle", changes, f"train: {{epochs: 60, budget: null, precision: {name}}}"
        )
        for name in PRECISIONS
    }


def measure_peak(plan: TrainPlan, device: Device, size: int = 2048, count: int = 8) -> Measurements:
    """Return what a step computes, and how fast the device multiplies matrices.

    Returns:
        ``gflop``, of a step's convolutions and matrix products; ``peak``, GFLOP a second of
        products of two float32 matrices of ``size`` rows and columns, the best of ``count``; and
        ``native_bf16``, 1 on a CPU that multiplies bfloat16, else 0.
    """
    import torch

    from benchmarks.steps import flops
    from benchmarks.workloads import build

    at_hand = resolve(load_params(layout.PARAMS)).prepare.dataset
    load = build(plan, at_hand, str(device))
    left, right = torch.ones(2, size, size, device=str(device))
    best = 0.0
    for _ in range(count):
        began = time.perf_counter()
        float((left @ right)[0, 0])  # which waits for a GPU
        best = max(best, 2 * size**3 / (time.perf_counter() - began) / 1e9)
    native = device is Device.cpu and cpu_multiplies_bf16()
    return {"gflop": flops(load.bare()) / 1e9, "peak": best, "native_bf16": float(native)}


def write_row(name: str, found: Measurements) -> str:
    """Return a network's row of the Markdown table."""
    wide, narrow = (1000 * found[precision] for precision in PRECISIONS)
    return f"| {name} | {found['batch_size']} | {wide:.0f} | {narrow:.0f} | {wide / narrow:.2f} |"


def main() -> None:
    """Measure the networks that are asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--device", type=Device, default=Device.auto)
    parser.add_argument("--json", action="store_true", help="print each network's figures instead")
    given = parser.parse_args()
    before_torch()
    device = choose_device(given.device)
    if not given.json:
        print(f"{describe_machine(device)}\n")
        print("| backbone | batch | float32, ms a step | bf16-mixed, ms a step | times as fast |")
        print("| --- | ---: | ---: | ---: | ---: |")
    for name in given.networks:
        plans = plan_precisions(NETWORKS[name])
        found = time_network(plans, given.steps, given.turns, device)
        if given.json:
            print(json.dumps(found | measure_peak(plans[PRECISIONS[0]], device)), flush=True)
        else:
            print(write_row(name, found), flush=True)


if __name__ == "__main__":
    main()
