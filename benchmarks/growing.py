"""A stream that grows by one small folder at a time, under DVC: seconds of each growth.

    python -m benchmarks.growing --tasks 60 --slots 20 60 200

A growth is one ``cassle grow``. Beside its training it takes what DVC, start-up, cutting,
evaluation and the report take; that should not rise by more than one more row of the matrix.
"""

from __future__ import annotations

import argparse
import io
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.config.presets import merge
from pipeline.files.atomic import write_bytes, write_text

PARAMS = """
dataset: image_folder
scenario: folders
num_tasks: null
data: {root: stream, image_size: 28}
train: {epochs: 2, warmup_epochs: 0, batch_size: 16}
evaluation: {knn: {k: 3}, few_labels: {labels: 1}}
"""
CLASSES = ("ape", "bee")
PER_CLASS = 20  # images in a folder
_TRAINED = re.compile(r'"(?:look_back_)?seconds": ([\d.]+)')


def make_clone(root: Path) -> None:
    """Clone the commit at hand into a folder, with the params of this benchmark."""
    subprocess.run(["git", "clone", "--quiet", "--no-local", ".", str(root)], check=True)
    params = root / "params.yaml"
    text, _ = merge(params.read_text(encoding="utf-8"), PARAMS)
    write_text(params, text)


def add_folder(root: Path, number: int) -> None:
    """Write a folder of images in a colour of its own, with noise."""
    draw = np.random.default_rng(number)
    tint = draw.integers(40, 200, 3)
    for shift, kind in enumerate(CLASSES):
        folder = root / "stream" / f"week {number}" / kind
        folder.mkdir(parents=True)
        for place in range(PER_CLASS):
            noise = draw.integers(-40, 40, (28, 28, 3))
            noise[:: 2 + 3 * shift] += 60
            image = np.clip(tint + noise, 0, 255).astype(np.uint8)
            content = io.BytesIO()
            Image.fromarray(image).save(content, format="png")
            write_bytes(folder / f"{place}.png", content.getvalue())


def run_command(root: Path, *command: str) -> float:
    """Run a command in the clone; return its seconds."""
    began = time.perf_counter()
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    if done.returncode not in (0, 3):
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}")
    return time.perf_counter() - began


def read_trained(root: Path, task: int) -> float:
    """Return the seconds that a task took to train."""
    text = (root / f"data/logs/task_{task}.json").read_text()
    return sum(float(found) for found in _TRAINED.findall(text))


def describe(numbers: Sequence[int], rest: Sequence[float]) -> str:
    """Return a line of the medians over ten growths each."""
    tens = [rest[first : first + 10] for first in range(0, len(rest), 10)]
    starts = [numbers[first] for first in range(0, len(rest), 10)]
    return "; ".join(
        f"from task {start}: {statistics.median(ten):.1f} s"
        for start, ten in zip(starts, tens, strict=True)
    )


def main() -> None:
    """Grow a stream, then ask for nothing with other numbers of slots."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", type=int, default=60)
    parser.add_argument("--slots", type=int, nargs="*", default=[60, 200])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "clone"
        make_clone(root)
        grow = (sys.executable, "-m", "pipeline", "grow")
        rest, numbers = [], []
        for task in range(1, given.tasks + 1):
            add_folder(root, task)
            if task == 1:
                continue
            seconds = run_command(root, *grow)
            trained = read_trained(root, task) + (read_trained(root, 1) if task == 2 else 0)
            rest.append(seconds - trained)
            numbers.append(task)
            print(f"task {task}: {seconds:.1f} s, beside training {rest[-1]:.1f} s", flush=True)
        print("medians beside training:", describe(numbers, rest))
        for slots in given.slots:
            run_command(root, sys.executable, "-m", "pipeline", "slots", str(slots))
            first = run_command(root, "dvc", "repro")
            again = min(run_command(root, "dvc", "repro") for _ in range(3))
            print(
                f"{slots} slots: {first:.1f} s after writing them, {again:.1f} s with nothing to do"
            )


if __name__ == "__main__":
    main()
