"""How fast image files are read, beside decoding them and nothing else.

    python -m benchmarks.reading                 # 20,000 JPEGs of 256 pixels
    python -m benchmarks.reading --count 2000 --keep whole

Each row is a process of its own on the same files, which the system has in memory: images a
second, their share of the bare decoder's, how busy the cores were, and the most memory that
the process or one of its workers held.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.data.datasets.image_folder import ImageFolder
from pipeline.data.image_files.file_options import FileOptions, Keep, Reading

CLASSES, SIDE, BATCH = 10, 256, 256


def write_images(root: Path, count: int) -> None:
    """Write JPEGs of smooth colours and grain, about 30 kB each, into class folders."""
    random = np.random.default_rng(0)
    contents = []
    for _ in range(64):
        smooth = Image.fromarray(random.integers(0, 256, (12, 12, 3), dtype=np.uint8))
        pixels = np.asarray(smooth.resize((SIDE, SIDE), Image.Resampling.BICUBIC)).astype(float)
        pixels += random.normal(0, 10, pixels.shape)
        held = io.BytesIO()
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(held, "JPEG", quality=90)
        contents.append(held.getvalue())
    for number in range(count):
        path = root / "train" / f"class_{number % CLASSES}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        # A comment after the end marker: no two files are the same.
        path.write_bytes(contents[number % len(contents)] + str(number).encode())
    for number in range(CLASSES):
        path = root / "test" / f"class_{number}" / "0.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents[number])


def source(place: Path, store: str, workers: int, keep: Keep) -> ImageFolder:
    """Return the folder of images as a data set."""
    options = FileOptions(SIDE, keep=keep)
    return ImageFolder(place / "images", options, Reading(store, workers, place / "scratch"))  # type: ignore[arg-type]


def decode(place: Path, workers: int, keep: Keep) -> int:
    """Decode every file with Pillow, and nothing else."""

    def one(path: Path) -> int:
        with Image.open(path) as image:
            return int(np.asarray(image.convert("RGB")).shape[0])

    paths = sorted((place / "images" / "train").rglob("*.jpg"))
    with ThreadPoolExecutor(workers) as pool:
        return sum(height > 0 for height in pool.map(one, paths))


def prepare(place: Path, workers: int, keep: Keep) -> int:
    """Do what the stage does: digest the files, decode them, write the store."""
    found = source(place, "cache", workers, keep)
    images = found.select("train", found.keys("train"))
    images.fingerprint()
    return len(images) - len(images.unreadable())


def epoch(place: Path, workers: int, keep: Keep, store: str) -> int:
    """Read an epoch's batches as training does."""
    from pipeline.data.batches import Images, TaskOrder, training_batches

    found = source(place, store, workers, keep)
    images = Images(found.select("train", found.keys("train")))
    order = TaskOrder(len(images), BATCH, epochs=1, seed=0, task=1)
    return sum(len(batch) for batch in training_batches(images, order))


def cached(place: Path, workers: int, keep: Keep) -> int:
    """Read an epoch from the store; return the number of images."""
    return epoch(place, workers, keep, "cache")


def streamed(place: Path, workers: int, keep: Keep) -> int:
    """Decode an epoch's images; return their number."""
    return epoch(place, workers, keep, "stream")


STEPS: dict[str, Callable[[Path, int, Keep], int]] = {
    "decode": decode,
    "prepare": prepare,
    "cached": cached,
    "streamed": streamed,
}


def measure(step: str, place: Path, workers: int, keep: Keep) -> dict[str, float]:
    """Run a step in this process; imports do not count."""
    if step in ("cached", "streamed"):
        import torch

        import pipeline.data.batches  # noqa: F401

        torch.set_num_threads(1)
    started, busy = time.perf_counter(), os.times()
    count = STEPS[step](place, workers, keep)
    seconds, ended = time.perf_counter() - started, os.times()
    used = sum(ended[:4]) - sum(busy[:4])
    peaks = [
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    ]
    return {
        "rate": count / seconds,
        "busy": 100 * used / seconds / workers,
        "peak": max(peaks) / 1024,
    }


def main() -> None:
    """Print the seconds of each way of reading."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--keep", choices=("square", "whole"), default="square")
    parser.add_argument("--step", choices=STEPS)
    parser.add_argument("--place", type=Path)
    given = parser.parse_args()
    if given.step is not None:
        print(json.dumps(measure(given.step, given.place, given.workers, given.keep)))
        return
    with tempfile.TemporaryDirectory() as folder:
        write_images(Path(folder) / "images", given.count)
        print(f"{given.count} JPEGs of {SIDE} pixels, by {given.workers} workers")
        bare, seconds = 0.0, {}
        for step in STEPS:
            command = [
                sys.executable,
                "-m",
                "benchmarks.reading",
                "--step",
                step,
                "--place",
                folder,
            ]
            command += ["--workers", str(given.workers), "--keep", given.keep]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found = json.loads(done.stdout.splitlines()[-1])
            bare = bare or found["rate"]
            print(
                f"{step:9} {found['rate']:7.0f} images/s  {found['rate'] / bare:5.2f} of decode  "
                f"{found['busy']:4.0f} % busy  {found['peak']:5.0f} MiB",
                flush=True,
            )
            seconds[step] = given.count / found["rate"]
        both = 2 * given.count / (seconds["prepare"] + seconds["cached"])
        print(
            f"prepare and an epoch from the store: {both:.0f} images/s, {both / bare:.2f} of decode"
        )


if __name__ == "__main__":
    main()
