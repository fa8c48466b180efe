"""One pass over the images: a plain one, and the one that evaluation makes, in turns.

    python -m benchmarks.passes SLOTS.json --rounds 3

Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import torch

from benchmarks.setting import read_setting
from benchmarks.workloads import build
from pipeline.building.data import open_source
from pipeline.data.batches import Images, ordered_batches
from pipeline.data.parts import PARTS
from pipeline.evaluation.features import BATCH, extract
from pipeline.runtime.device import Device, choose_device


def main() -> None:
    """Measure the default backbone on all embedded images."""
    parser = argparse.ArgumentParser()
    parser.add_argument("slots", type=Path)
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--device", type=Device, default=Device.auto)
    given = parser.parse_args()
    setting = read_setting(given.slots)
    device = str(choose_device(given.device))
    load = build(setting.finetune, setting.images, device)
    backbone = load.method.backbone.to(device).eval()
    source = open_source(setting.images)
    images = [Images(source.select(name, source.keys(name))) for name in PARTS]
    ready = [
        load.augment.normalize(batch.to(device)).contiguous(memory_format=torch.channels_last)
        for of_part in images
        for batch in ordered_batches(of_part, BATCH)
    ]
    taken: dict[str, list[float]] = {"plain": [], "extract": []}
    for _ in range(given.rounds + 1):
        began = time.perf_counter()
        with torch.no_grad():
            torch.cat([backbone(batch) for batch in ready]).cpu()
        taken["plain"].append(time.perf_counter() - began)
        began = time.perf_counter()
        for of_part in images:
            extract(backbone, ordered_batches(of_part, BATCH), load.augment.normalize).cpu()
        taken["extract"].append(time.perf_counter() - began)
    print(json.dumps({name: statistics.median(found[1:]) for name, found in taken.items()}))


if __name__ == "__main__":
    from pipeline.runtime.before_torch import keep_freed_memory

    keep_freed_memory()
    main()
