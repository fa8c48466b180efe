"""Steps of CaSSLe in float32 and in bfloat16, in turn, with networks of each kind.

    python -m benchmarks.precision                                    # all, about five minutes
    python -m benchmarks.precision --networks small_resnet --steps 16

The data set and the params are those of params.yaml. Prints a Markdown table, a row as it is
measured: the best of the turns. ``train.precision: auto`` goes by what it showed.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from pipeline import layout
from pipeline.config import presets
from pipeline.config.read import parse_params, read_params_text
from pipeline.config.resolve import resolve
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


def time_network(changes: str, steps: int, turns: int, device: Device) -> str:
    """Return the cells of a row: batch size, milliseconds in both precisions, their ratio."""
    from pipeline.commands.step_times import time_steps

    found: dict[str, list[float]] = {name: [] for name in PRECISIONS}
    for _ in range(turns):
        for precision in PRECISIONS:
            text, _ = presets.merge(read_params_text(layout.PARAMS), changes)
            text, _ = presets.merge(text, f"train: {{precision: {precision}}}")
            plan = resolve(parse_params(text, str(layout.PARAMS))).train[2]
            found[precision].append(time_steps(plan, 2000, steps, 2, device).seconds)
    wide, narrow = (1000 * min(found[name]) for name in PRECISIONS)
    return f"{plan.train.batch_size} | {wide:.0f} | {narrow:.0f} | {wide / narrow:.2f}"


def main() -> None:
    """Measure the networks that are asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--device", type=Device, default=Device.auto)
    given = parser.parse_args()
    before_torch()
    device = choose_device(given.device)
    print(f"{describe_machine(device)}\n")
    print("| backbone | batch | float32, ms a step | bf16-mixed, ms a step | times as fast |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name in given.networks:
        cells = time_network(NETWORKS[name], given.steps, given.turns, device)
        print(f"| {name} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
