"""Two views of a batch by this project, by Kornia and by torchvision, in turns.

    python -m benchmarks.peers.augmentation SLOTS.json --rounds 5

Runs where Kornia is installed. Prints the images a second of each as one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import kornia.augmentation as kornia
import torch
from torch import Tensor
from torchvision.transforms import v2

from benchmarks.setting import read_setting
from benchmarks.workloads import build
from pipeline.data.augmentation.augment import Augment
from pipeline.data.augmentation.view_augment import ViewAugment
from pipeline.data.augmentation.view_stream import BATCHES_AHEAD, ViewStream
from pipeline.runtime.before_torch import keep_freed_memory

BATCHES = BATCHES_AHEAD  # a round: as many as are drawn at once


def of_kornia(recipe: ViewAugment, augment: Augment) -> Callable[[Tensor], Tensor]:
    """Return Kornia's batched transforms with the values of a recipe."""
    size = augment.size
    jitter = (recipe.brightness, recipe.contrast, recipe.saturation, recipe.hue)
    transforms = torch.nn.Sequential(
        kornia.RandomResizedCrop((size, size), scale=recipe.crop_scale),
        kornia.ColorJitter(*jitter, p=recipe.jitter),
        kornia.RandomGrayscale(p=recipe.grey),
        kornia.RandomHorizontalFlip(p=recipe.flip),
        kornia.Normalize(augment.mean.flatten(), augment.std.flatten()),
    )
    return lambda images: transforms(images.float() / 255)


def of_torchvision(recipe: ViewAugment, augment: Augment) -> Callable[[Tensor], Tensor]:
    """Return torchvision's transforms, an image at a time, as data loaders apply them."""
    jitter = (recipe.brightness, recipe.contrast, recipe.saturation, recipe.hue)
    transforms = v2.Compose(
        [
            v2.RandomResizedCrop(augment.size, recipe.crop_scale, antialias=True),
            v2.RandomApply([v2.ColorJitter(*jitter)], recipe.jitter),
            v2.RandomGrayscale(recipe.grey),
            v2.RandomHorizontalFlip(recipe.flip),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(augment.mean.flatten().tolist(), augment.std.flatten().tolist()),
        ]
    )
    return lambda images: torch.stack([transforms(image) for image in images])


def main() -> None:
    """Measure the augmentation of a slot and print the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("slots", type=Path)
    parser.add_argument("--rounds", type=int, required=True)
    given = parser.parse_args()
    setting = read_setting(given.slots)
    load = build(setting.finetune, setting.images, "cpu")
    augment, images = load.augment, load.images[: load.batch_size]
    mean, std = augment.mean.flatten().tolist(), augment.std.flatten().tolist()
    recipe, random = augment.recipes[0], torch.Generator().manual_seed(0)
    kornias, torchvisions = of_kornia(recipe, augment), of_torchvision(recipe, augment)
    others = {
        "bicubic": [replace(one, interpolation="bicubic") for one in augment.recipes],
        "dali": [replace(one, jitter_style="dali") for one in augment.recipes],
    }
    contestants: dict[str, Callable[[Tensor], object]] = {
        "ours": ViewStream(augment, random),
        **{
            name: ViewStream(Augment(changed, augment.size, mean, std), torch.Generator())
            for name, changed in others.items()
        },
        "kornia": lambda batch: (kornias(batch), kornias(batch)),
        "torchvision": lambda batch: (torchvisions(batch), torchvisions(batch)),
    }
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(given.rounds + 1):
        for name, make in contestants.items():
            began = time.perf_counter()
            for _ in range(BATCHES):
                make(images)
            if number:  # the first round warms up
                rates[name].append(BATCHES * len(images) / (time.perf_counter() - began))
    print(json.dumps({name: statistics.median(found) for name, found in rates.items()}))


if __name__ == "__main__":
    keep_freed_memory()
    main()
