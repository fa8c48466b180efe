"""How fast a folder is embedded and searched, beside the bare network on pixels in memory.

    python -m benchmarks.embedding                                               # the default one
    python -m benchmarks.embedding --images 512 --backbone resnet18 --size 32    # one of weight

The files are PNG images of the embedded set, made for the occasion in a temporary folder. Both
rates are measured in turn within one run, a part of the images each, so that other work on the
machine slows both alike. Where the network alone keeps all cores busy, the CPU time of an image
bounds their ratio: in the network, to read it as ``cassle embed`` does, to decode it with Pillow
and no more, to read its bytes alone.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.artifacts.encoder import Preprocessing
from pipeline.building.data import open_source
from pipeline.building.embedding import embed_batches
from pipeline.building.encoder import Encoder
from pipeline.commands.embed import embed, list_paths
from pipeline.config.read import load_params
from pipeline.config.resolve import resolve
from pipeline.layout import PARAMS
from pipeline.models.resnet import ResNet18
from pipeline.models.small_resnet import SmallResNet
from pipeline.runtime.before_torch import before_torch

TURNS = 8
BATCH = 512


def build_encoder(backbone: str, size: int) -> Encoder:
    """Return an encoder of random weights: how good it is takes no time."""
    how = Preprocessing(1, size, (0.286,), (0.353,), size, (255, 255, 255), "bilinear", "square")
    network = (
        ResNet18(1, "conv3")
        if backbone == "resnet18"
        else SmallResNet(1, "conv3_stride2", widths=(16, 32, 64), blocks=1)
    )
    return Encoder(network, how, "0" * 64, backbone)


def write_images(folder: Path, count: int, size: int) -> list[str]:
    """Write images as PNG files; return their paths."""
    plan = resolve(load_params(PARAMS)).prepare.dataset
    source = open_source(plan)
    images = source.select("train", source.keys("train")).reader()
    pixels = images[np.arange(min(count, len(images)))][:, 0]
    for number in range(count):
        image = Image.fromarray(pixels[number % len(pixels)]).resize((size, size))
        image.save(folder / f"{number:06}.png")
    return list_paths(folder)


def compare_rates(encoder: Encoder, folder: Path, paths: list[str], threads: int) -> None:
    """Print images a second of the bare network, and from files, and the ratio of the two."""
    share = len(paths) // TURNS
    bare, whole = [], []
    for turn in range(TURNS):
        some = paths[turn * share : (turn + 1) * share]
        pixels = np.stack([encoder.read(folder / path) for path in some])
        encoder.encode(pixels[:BATCH])
        begun = time.perf_counter()
        encoder.encode(pixels)
        between = time.perf_counter()
        done = sum(len(b.paths) for b in embed_batches(encoder, folder, some, BATCH, threads))
        bare.append(share / (between - begun))
        whole.append(done / (time.perf_counter() - between))
    ratio = statistics.median(w / b for w, b in zip(whole, bare, strict=True))
    print(f"bare network {statistics.median(bare):.0f} images/s, median of {TURNS} turns")
    print(f"from files   {statistics.median(whole):.0f} images/s: {ratio:.2f} of it")


def compare_costs(encoder: Encoder, folder: Path, paths: list[str], count: int = 2000) -> None:
    """Print the CPU time of an image, and the ratio of rates that each way to read it allows."""
    files = [folder / path for path in paths[:count]]
    pixels = np.stack([encoder.read(file) for file in files])

    def decode(file: Path) -> None:
        with Image.open(file) as image:
            np.asarray(image)

    def time_each(act: Callable[[Path], object]) -> float:
        return time_cpu(lambda: [act(file) for file in files]) / len(files)

    network = time_cpu(lambda: encoder.encode(pixels)) / len(files)
    print(f"the network takes {1e6 * network:.0f} µs of CPU time an image")
    ways = {"to read it": encoder.read, "Pillow alone": decode, "its bytes alone": Path.read_bytes}
    for name, act in ways.items():
        taken = time_each(act)
        allowed = network / (network + taken)
        print(f"{name:15} {1e6 * taken:5.0f} µs: at most {allowed:.2f} of the bare rate")


def time_cpu(act: Callable[[], object]) -> float:
    """Return the CPU seconds of this process, the best of three after one to warm up."""
    found = []
    for _ in range(4):
        began = time.process_time()
        act()
        found.append(time.process_time() - began)
    return min(found[1:])


def measure_search(encoder: Encoder, folder: Path, paths: list[str]) -> None:
    """Print how long it takes to embed the folder once and to search it after that."""
    output = folder.with_name("features.npz")
    begun = time.perf_counter()
    held = embed(folder, encoder, output)
    print(f"embedded {len(held)} images in {time.perf_counter() - begun:.1f} s")
    begun = time.perf_counter()
    held = embed(folder, encoder, output)
    again = time.perf_counter()
    held.nearest(encoder(folder / paths[0]), 10)
    print(f"a second time {again - begun:.2f} s, a search {time.perf_counter() - again:.3f} s")


def main() -> None:
    """Measure what the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else "")
    parser.add_argument("--images", type=int, default=20000)
    parser.add_argument("--backbone", choices=("small_resnet", "resnet18"), default="small_resnet")
    parser.add_argument("--size", type=int, default=28)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    before_torch()
    encoder = build_encoder(given.backbone, given.size)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "images")
        folder.mkdir()
        paths = write_images(folder, given.images, given.size)
        compare_costs(encoder, folder, paths)
        compare_rates(encoder, folder, paths, given.threads)
        measure_search(encoder, folder, paths)
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    print(
        f"to start Python and import torch takes {time.perf_counter() - begun:.2f} s of a command"
    )


if __name__ == "__main__":
    main()
