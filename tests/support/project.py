"""A project of a few images in a temporary folder, and the command line on it."""

from __future__ import annotations

import functools
import gzip
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from pipeline import layout
from tests.support.command_line import CommandLine
from tests.support.params import ROOT, SMALL, Changes, with_changes, without, write_params
from tests.support.runs import Runs, files

CLASSES = 10
PER_CLASS = {"train": 16, "t10k": 4}


def write_idx(path: Path, array: np.ndarray) -> None:
    path.write_bytes(_idx(array))


def _idx(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return gzip.compress(header + array.tobytes(), mtime=0)


def make_data(folder: Path) -> None:
    """Write a few images of the embedded set, in its own format."""
    folder.mkdir(parents=True)
    for name, content in _few_images().items():
        (folder / name).write_bytes(content)


@functools.cache
def _few_images() -> dict[str, bytes]:
    """Return the files of a few images of each class, by name."""
    files: dict[str, bytes] = {}
    source = ROOT / "data/fashion_mnist"
    for part, count in PER_CLASS.items():
        names = (f"{part}-images-idx3-ubyte.gz", f"{part}-labels-idx1-ubyte.gz")
        raw = [gzip.decompress((source / name).read_bytes()) for name in names]
        images = np.frombuffer(raw[0][16:], np.uint8).reshape(-1, 28, 28)
        labels = np.frombuffer(raw[1][8:], np.uint8)
        chosen = np.sort(
            np.concatenate([np.flatnonzero(labels == c)[:count] for c in range(CLASSES)])
        )
        files[names[0]] = _idx(images[chosen])
        files[names[1]] = _idx(labels[chosen])
    return files


class Project(CommandLine):
    """The folder, its params, and the command line run inside this process."""

    def __init__(
        self,
        root: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str] | None,
        runs: Runs,
    ) -> None:
        super().__init__(monkeypatch, capsys)
        self.root = root
        self.runs = runs
        make_data(root / "data/fashion_mnist")
        write_params(root, SMALL)
        monkeypatch.chdir(root)

    def set(self, changes: Changes) -> None:
        """Change params.yaml by its keys, as in ``{"method": "byol", "train.epochs": 1}``."""
        path = self.root / layout.PARAMS
        path.write_text(with_changes(path.read_text(), changes))

    def remove(self, key: str) -> None:
        """Take a key out of params.yaml, and all below it."""
        path = self.root / layout.PARAMS
        path.write_text(without(path.read_text(), key))

    def refuses(self, *command: str) -> str:
        """Run a command that has to fail cleanly and to write nothing; return its message."""
        before = self.files()
        code, _, err = self.cassle(*command)
        assert code == 2, err
        assert "Traceback" not in err
        assert self.files() == before
        lines = err.strip().splitlines()
        # Of all commands check alone names all problems at once.
        assert len(lines) == 1 or command[0] == "check", err
        assert all(line.startswith("error: ") for line in lines)
        return "\n".join(lines)

    def make_repository(self) -> None:
        """Make the folder an empty repository of git and DVC, as ``cassle check`` wants one."""
        subprocess.run(["git", "init", "--quiet", "--template="], cwd=self.root, check=True)
        (self.root / ".dvc").mkdir(exist_ok=True)

    def train_through(self, task: int) -> None:
        """Plan, prepare, init and train the first tasks."""
        for stage in ("plan", "prepare", "init"):
            self.must(stage)
        for number in range(1, task + 1):
            self.must("train", str(number))

    def trained(self, task: int) -> None:
        """Have the first tasks trained: a copy, of a run that is made once for all tests.

        For tests whose subject comes after that training. Nothing may be patched yet.
        """
        self.runs.copy_to(self.root, f"trained {task}", lambda: self._train(task))

    def _train(self, task: int) -> None:
        if task == 0:
            self.train_through(0)
        else:
            self.trained(task - 1)
            self.must("train", str(task))

    def finished(self, num_tasks: int, *more: str) -> None:
        """Have every stage run to the report, and further commands: a copy, as ``trained``."""
        made = f"finished {num_tasks} {more}"
        self.runs.copy_to(self.root, made, lambda: self._finish(num_tasks, more))

    def _finish(self, num_tasks: int, more: Sequence[str]) -> None:
        self.trained(num_tasks)
        self.must("evaluate")
        for command in more:
            self.must(*command.split())
        self.must("report")

    def run_all(self, num_tasks: int) -> None:
        """Run every stage to the report."""
        self.train_through(num_tasks)
        self.must("evaluate")
        self.must("report")

    def files(self) -> dict[str, str]:
        """Return the SHA-256 of every file, but for locks and checkpoints."""
        return files(self.root)
