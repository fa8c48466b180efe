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
import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import v2

from benchmarks.setting import read_setting
from benchmarks.workloads import build
from pipeline.data.augmentation.augment import Augment
from pipeline.data.augmentation.view_augment import ViewAugment
from pipeline.data.augmentation.view_stream import BATCHES_AHEAD, ViewStream
from pipeline.data.canvas import WholeImage, begin_canvas, canvas_shape
from pipeline.runtime.before_torch import keep_freed_memory

BATCHES = BATCHES_AHEAD  # a round: as many as are drawn at once
# Photographs as ImageNet's: views of 224 pixels, from the central square or from all of 4:3.
LARGE, VIEW, SIDE, LENGTH = 16, 224, 256, 341


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


def draw_photographs() -> tuple[Tensor, Tensor]:
    """Return images as squares, uint8 ``(LARGE, 3, SIDE, SIDE)``, and whole ones on canvases."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (LARGE, LENGTH, SIDE, 3), np.uint8)
    canvases = np.zeros((LARGE, *canvas_shape(SIDE), 3), np.uint8)
    for number, image in enumerate(pixels):
        filled = begin_canvas(WholeImage(image, LENGTH, number % 4 > 0))  # most are wide
        canvases[number, : len(filled)] = filled
    both = (pixels[:, :SIDE], canvases)
    squares, whole = (torch.from_numpy(images).permute(0, 3, 1, 2) for images in both)
    return squares, whole


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
    squares, whole = draw_photographs()
    large = [Augment(augment.recipes, VIEW, mean, std, whole=kept) for kept in (False, True)]
    contestants: dict[str, tuple[Callable[[Tensor], object], Tensor]] = {
        "ours": (ViewStream(augment, random), images),
        **{
            name: (ViewStream(Augment(changed, augment.size, mean, std), torch.Generator()), images)
            for name, changed in others.items()
        },
        "kornia": (lambda batch: (kornias(batch), kornias(batch)), images),
        "torchvision": (lambda batch: (torchvisions(batch), torchvisions(batch)), images),
        "squares": (ViewStream(large[0], torch.Generator()), squares),
        "whole": (ViewStream(large[1], torch.Generator()), whole),
    }
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(given.rounds + 1):
        for name, (make, batch) in contestants.items():
            began = time.perf_counter()
            for _ in range(BATCHES):
                make(batch)
            if number:  # the first round warms up
                rates[name].append(BATCHES * len(batch) / (time.perf_counter() - began))
    print(json.dumps({name: statistics.median(found) for name, found in rates.items()}))


if __name__ == "__main__":
    keep_freed_memory()
    main()
