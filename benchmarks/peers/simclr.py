"""SimCLR with lightly: the same network, images, batch and optimiser.

    python -m benchmarks.peers.simclr SLOTS.json --steps 15 --workers 2 --precision bf16-mixed

Runs where lightly is installed, and uses it as its documentation does: a transform that makes
two views of each image in a data loader's workers, one pass a view, NTXentLoss. Prints the images
a second as one JSON object.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path
from typing import Any, get_args

import torch
from lightly.loss import NTXentLoss
from lightly.transforms import SimCLRTransform
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from benchmarks.setting import read_setting
from benchmarks.workloads import Workload, build
from pipeline.files.typed_json import get_typed
from pipeline.runtime.arithmetic import Precision
from pipeline.runtime.machine import read_process_peak
from pipeline.training.optim import build_optimizer


class Pictures(Dataset[Any]):
    """Images as Pillow holds them, through a transform.

    Args:
        images: uint8 ``(N, C, H, W)``.
        transform: makes the views of one.
        count: how many there seem to be; they repeat.
    """

    def __init__(self, images: Tensor, transform: Any, count: int) -> None:
        arrays = images.permute(0, 2, 3, 1).squeeze(3).numpy()
        self.pictures = [Image.fromarray(array) for array in arrays]
        self.transform = transform
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        return self.transform(self.pictures[index % len(self.pictures)])


def transform(load: Workload) -> SimCLRTransform:
    """Return lightly's transform with the values of the workload's recipe."""
    recipe = load.augment.recipes[0]
    return SimCLRTransform(
        input_size=load.augment.size,
        cj_prob=recipe.jitter,
        cj_strength=1.0,
        cj_bright=recipe.brightness,
        cj_contrast=recipe.contrast,
        cj_sat=recipe.saturation,
        cj_hue=recipe.hue,
        min_scale=recipe.crop_scale[0],
        random_gray_scale=recipe.grey,
        gaussian_blur=recipe.blur,
        hf_prob=recipe.flip,
        normalize={
            "mean": load.augment.mean.flatten().tolist(),
            "std": load.augment.std.flatten().tolist(),
        },
    )


def rate(
    load: Workload, temperature: float, steps: int, workers: int, precision: Precision
) -> float:
    """Return the images a second over an epoch of ``steps`` steps, after one to warm up."""
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed")
    model = nn.Sequential(load.method.backbone, load.method.projector).train()
    criterion = NTXentLoss(temperature=temperature)
    optimizer = build_optimizer([model], load.optimization)
    pictures = Pictures(load.images, transform(load), load.batch_size * steps)
    loader = DataLoader(
        pictures,
        batch_size=load.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    began = 0.0
    for _ in range(2):
        began = time.perf_counter()
        for first, second in loader:
            with autocast:
                loss = criterion(model(first), model(second))
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    return load.batch_size * steps / (time.perf_counter() - began)


def main() -> None:
    """Measure a slot and print the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("slots", type=Path)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--precision", choices=get_args(Precision), required=True)
    given = parser.parse_args()
    setting = read_setting(given.slots)
    temperature = get_typed(setting.finetune.method.options, float, "temperature")
    load = build(setting.finetune, setting.images, "cpu")
    found = rate(load, temperature, given.steps, given.workers, given.precision)
    peak = read_process_peak(resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    print(json.dumps({"images_per_second": found, "peak_mib": peak}))


if __name__ == "__main__":
    main()
