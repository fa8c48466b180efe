"""A project of a few images in a temporary folder, and the command line on it."""

from __future__ import annotations

import gzip
import hashlib
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline import layout
from pipeline.cli import main as cli

ROOT = Path(__file__).parent.parent.parent
CLASSES = 10
PER_CLASS = {"train": 16, "t10k": 4}
# What makes a run take seconds; everything else is as shipped.
SMALL = {
    "num_tasks: 5": "num_tasks: 3",
    "widths: [16, 32, 64]": "widths: [4, 8]",
    r"(  simclr:(?:\n    [^\n]*)*\n    projector:) \[256, 128\]": r"\1 [16, 8]",
    "predictor_hidden: 512": "predictor_hidden: 16",
    "batch_size: 128": "batch_size: 16",
    "warmup_epochs: 2": "warmup_epochs: 1",
    "milestones: [60, 80]": "milestones: [2]",
    r"(train:[^\n]*\n  epochs:) \d+": r"\1 2",
    r"(linear_eval:[^\n]*\n  epochs:) \d+": r"\1 3",
}


def write_idx(path: Path, array: np.ndarray) -> None:
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    path.write_bytes(gzip.compress(header + array.tobytes(), mtime=0))


def make_data(folder: Path) -> None:
    """Write a few images of the embedded set, in its own format."""
    folder.mkdir(parents=True)
    for part, count in PER_CLASS.items():
        source = ROOT / "data/fashion_mnist"
        names = (f"{part}-images-idx3-ubyte.gz", f"{part}-labels-idx1-ubyte.gz")
        raw = [gzip.decompress((source / name).read_bytes()) for name in names]
        images = np.frombuffer(raw[0][16:], np.uint8).reshape(-1, 28, 28)
        labels = np.frombuffer(raw[1][8:], np.uint8)
        chosen = np.sort(
            np.concatenate([np.flatnonzero(labels == c)[:count] for c in range(CLASSES)])
        )
        write_idx(folder / names[0], images[chosen])
        write_idx(folder / names[1], labels[chosen])


def edit_params(path: Path, changes: dict[str, str]) -> None:
    """Change a params file by regular expressions, each of which must match once."""
    text = path.read_text()
    for old, new in changes.items():
        pattern = old if "(" in old else re.escape(old)
        text, count = re.subn(pattern, new, text)
        assert count == 1, f"{old!r} matches {count} times"
    path.write_text(text)


class Project:
    """The folder, its params, and the command line run inside this process."""

    def __init__(
        self, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.root = root
        self.monkeypatch = monkeypatch
        self.capsys = capsys
        make_data(root / "data/fashion_mnist")
        shutil.copy(ROOT / "params.yaml", root)
        self.edit(SMALL)
        monkeypatch.chdir(root)

    def edit(self, changes: dict[str, str]) -> None:
        """Change params.yaml by regular expressions, each of which must match once."""
        edit_params(self.root / "params.yaml", changes)

    def cassle(self, *arguments: str) -> tuple[int, str, str]:
        """Return the exit code, the standard output and the standard error of ``cassle``."""
        return self.run(cli.main, *arguments)

    def run(self, command: Callable[[], None], *arguments: str) -> tuple[int, str, str]:
        """Return the exit code, the standard output and the standard error of a command line."""
        self.monkeypatch.setattr(sys, "argv", ["cassle", *arguments])
        self.capsys.readouterr()
        code = 0
        try:
            command()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 0
        out, err = self.capsys.readouterr()
        return code, out, err

    def must(self, *arguments: str) -> str:
        """Run a command that has to succeed; return its output."""
        code, out, err = self.cassle(*arguments)
        assert code == 0, err
        return out

    def train_through(self, task: int) -> None:
        """Plan, prepare, init and train the first tasks."""
        for stage in ("plan", "prepare", "init"):
            self.must(stage)
        for number in range(1, task + 1):
            self.must("train", str(number))

    def run_all(self, num_tasks: int) -> None:
        """Run every stage to the report."""
        self.train_through(num_tasks)
        for number in range(num_tasks + 1):
            self.must("evaluate", str(number))
        self.must("report")

    def files(self) -> dict[str, str]:
        """Return the SHA-256 of every file, but for locks and checkpoints."""
        return {
            str(path.relative_to(self.root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(self.root.rglob("*"))
            if path.is_file() and layout.SCRATCH.name not in path.parts
        }
