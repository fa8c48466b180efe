"""Change inputs and code at random moments of ``dvc repro``: is what remains what a clean run makes?

    python -m tests.torture.changes --trials 200

Each trial changes one thing while DVC runs the chain: code of a loss, params, the splits, an
image. Then DVC runs until it succeeds; where it fails, its own message says which command helps.
In the end every file has to be that of a run which began with the change. Stages begin with torch
imported, see ``tests.support.warm_python``.
"""

from __future__ import annotations

import argparse
import gzip
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pipeline import layout
from tests.support.dvc_repository import ENVIRONMENT, make_repository, run
from tests.support.warm_python import run_server
from tests.torture.dvc import repro
from tests.torture.stages import files

CASSLE = ("python", "-m", "pipeline")
ADVICE = re.compile(r"run `cassle (\w+)`")
IMAGES = Path("data/fashion_mnist/train-images-idx3-ubyte.gz")


def set_param(root: Path, name: str) -> None:
    """Give a seed another number."""
    path = root / layout.PARAMS
    text, count = re.subn(rf"(?m)^{name}: \d+", f"{name}: 77", path.read_text())
    assert count == 1, text
    path.write_text(text)


def edit_code(root: Path) -> None:
    """One line more in a loss."""
    path = root / "pipeline/methods/contrastive.py"
    path.write_text(path.read_text() + "\nEXTRA = 1\n")


def edit_params(root: Path) -> None:
    """Another seed."""
    set_param(root, "seed")


def edit_splits(root: Path) -> None:
    """Another cut, by hand: params, plan, splits."""
    set_param(root, "split_seed")
    for stage in ("plan", "prepare"):
        subprocess.run(
            [*CASSLE, stage], cwd=root, env=ENVIRONMENT, capture_output=True, check=False
        )


def replace_images(root: Path) -> None:
    """Negatives of all images."""
    content = gzip.decompress((root / IMAGES).read_bytes())
    other = content[:16] + bytes(255 - byte for byte in content[16:])
    (root / IMAGES).write_bytes(gzip.compress(other, mtime=0))


CHANGES: dict[str, Callable[[Path], None]] = {
    "code": edit_code,
    "params": edit_params,
    "splits": edit_splits,
    "images": replace_images,
}


def finish(root: Path) -> int:
    """Run the chain to its end as its messages advise; return how often it has failed before."""
    for failures in range(6):
        process = repro(root)
        said, _ = process.communicate()
        if process.returncode == 0:
            return failures
        for command in dict.fromkeys(ADVICE.findall(said)):
            run(root, *CASSLE, command)
    raise AssertionError(said)


def outputs(root: Path) -> dict[str, bytes]:
    """The files that stages leave, but for reports, which hold measured seconds."""
    return {
        name: content
        for name, content in files(root).items()
        if not name.startswith((str(layout.REPORTS), str(layout.CHECKPOINTS)))
    }


def run_trial(name: str, made: Path, clean: dict[str, bytes], seconds: float) -> list[str]:
    """Change something after some seconds; return the files that differ in the end."""
    root = made.with_name("trial")
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(made, root, symlinks=True)
    process = repro(root)
    time.sleep(seconds)
    ran = process.poll() is None
    CHANGES[name](root)
    process.communicate()
    failures = (process.returncode != 0) + finish(root)
    found = outputs(root)
    wrong = [key for key in sorted(found.keys() | clean.keys()) if found.get(key) != clean.get(key)]
    moment = f"after {seconds:.1f} s" if ran else "after the end"
    print(f"{name:8} changed {moment:16} stopped {failures} times, differ: {wrong}", flush=True)
    return wrong


def main() -> None:
    """Run all trials; exit with 1 if a file differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    chance, found, began = random.Random(given.seed), 0, time.monotonic()
    with tempfile.TemporaryDirectory() as folder, run_server() as warm:
        ENVIRONMENT["PATH"] = f"{warm}{os.pathsep}{ENVIRONMENT['PATH']}"
        made = Path(folder) / "made"
        make_repository(made, {"num_tasks": 2, "train.epochs": 4})
        expected, seconds = {}, 0.0
        for name, change in list(CHANGES.items())[: given.trials]:
            root = Path(folder) / name
            shutil.copytree(made, root, symlinks=True)
            change(root)
            start = time.monotonic()
            finish(root)
            seconds = max(seconds, time.monotonic() - start)
            expected[name] = outputs(root)
        for number in range(given.trials):
            name = list(CHANGES)[number % len(CHANGES)]
            found += bool(run_trial(name, made, expected[name], chance.uniform(0, seconds)))
    minutes = (time.monotonic() - began) / 60
    print(f"{given.trials} changes in {minutes:.0f} minutes, {found} end in other files")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
