"""A stream of small folders that grows under DVC: seconds of a growth, early and late.

    python -m benchmarks.growing --at 3 20 60 --slots 60 200

A growth is one ``cassle grow``. Beside its training it takes what DVC, start-up, cutting,
evaluation and the report take; that should not rise by more than one more row of the matrix. The
streams before are learnt in one process, and DVC is told of what lies there.

With nothing to do, what DVC takes for a chain of as many stages that have one dependency and one
output each stands beside ours, measured in turn.
"""

from __future__ import annotations

import argparse
import io
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.config.chain import IN_ROOT
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


def learn_through(root: Path, first: int, last: int) -> None:
    """Learn the tasks up to one in a single process, and let DVC know."""
    code = f"""
from pipeline.cli.app import app
from pipeline.cli import growing_commands, stage_commands, tool_commands
commands = [["slots", "{max(last, 2)}"], ["plan"], ["prepare"], ["init"]]
commands += [["train", str(task)] for task in range({first}, {last} + 1)]
for command in [*commands, ["evaluate"], ["report"]]:
    assert not app(command, standalone_mode=False), command
"""
    run_command(root, sys.executable, "-c", code)
    run_command(root, "dvc", "commit", "--force", "--quiet")


def make_bare_chain(root: Path, count: int) -> None:
    """Write a DVC project of stages that each copy a file of a few bytes, in files of 20 stages."""
    root.mkdir()
    run_command(root, "git", "init", "--quiet")
    run_command(root, "dvc", "init", "--quiet")
    write_text(root / "0.txt", "0")
    for first in range(1, count + 1, IN_ROOT):
        below = first > IN_ROOT
        lines = ["stages:"]
        for stage in range(first, min(count, first + IN_ROOT - 1) + 1):
            lines += [f"  stage_{stage}:", f"    cmd: cp {stage - 1}.txt {stage}.txt"]
            lines += ["    wdir: ../.."] * below
            lines += [f"    deps: [{stage - 1}.txt]", f"    outs: [{stage}.txt]"]
        folder = root / "slots" / str(first) if below else root
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / "dvc.yaml", "\n".join(lines) + "\n")
    run_command(root, "dvc", "repro", "--all-pipelines")


def main() -> None:
    """Grow streams of several lengths, then ask for nothing with other numbers of slots."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--at", type=int, nargs="+", default=[3, 20, 60])
    parser.add_argument("--slots", type=int, nargs="*", default=[60, 200])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "clone"
        make_clone(root)
        grow = (sys.executable, "-m", "pipeline", "grow")
        learnt = 0
        for count in given.at:
            for task in range(learnt + 1, count + 1):
                add_folder(root, task)
            learn_through(root, learnt + 1, count)
            rest = []
            for task in range(count + 1, count + 4):
                add_folder(root, task)
                rest.append(run_command(root, *grow) - read_trained(root, task))
            learnt = count + 3
            again = min(run_command(root, "dvc", "repro") for _ in range(3))
            said = ", ".join(f"{seconds:.1f}" for seconds in rest)
            print(
                f"{count} tasks and then three more: {said} s beside their training; "
                f"{again:.1f} s with nothing to do; "
                f"{size_of(root / '.dvc/cache') / 1e6:.0f} MB in DVC's cache, "
                f"{size_of(root / '.scratch') / 1e6:.0f} MB in .scratch",
                flush=True,
            )
        for slots in given.slots:
            run_command(root, sys.executable, "-m", "pipeline", "slots", str(slots))
            first = run_command(root, "dvc", "repro")
            bare = Path(folder) / f"bare_{slots}"
            make_bare_chain(bare, slots)
            ours, theirs = [], []
            for _ in range(3):
                ours.append(run_command(root, "dvc", "repro"))
                theirs.append(run_command(bare, "dvc", "repro", "--all-pipelines"))
            print(
                f"{slots} slots: {first:.1f} s once written, {min(ours):.1f} s with nothing to do; "
                f"DVC with {slots} stages of one dependency and one output: {min(theirs):.1f} s"
            )


def size_of(folder: Path) -> int:
    """Return the bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
