"""A git and DVC repository with the project's own code and a few images, outside pytest."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.params import ROOT, SMALL, Changes, write_params
from tests.support.project import make_data

PARTS = ("pipeline", ".dvc/config", ".dvc/.gitignore", ".dvc/plots", ".dvcignore", ".gitignore")
PARTS += ("dvc.yaml", "data/.gitignore")
ENVIRONMENT = os.environ | {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "OMP_NUM_THREADS": "1",
    "CASSLE_CHECKPOINT_SECONDS": "0.2",
}
IDENTITY = ("-c", "user.name=t", "-c", "user.email=t@t")


def copy_code(root: Path) -> None:
    """Copy what a clone of the project holds, but for its images and params."""
    for name in PARTS:
        source, target = ROOT / name, root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)  # with its bytecode: stages need not compile it
        else:
            shutil.copy(source, target)


def run(root: Path, *command: str) -> str:
    """Run a command, which has to succeed; return its output."""
    done = subprocess.run(command, cwd=root, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def commit(root: Path, message: str) -> None:
    """Commit all that is there."""
    run(root, "git", "add", "--all")
    run(root, "git", *IDENTITY, "commit", "--quiet", "-m", message)


def make_repository(root: Path, changes: Changes) -> None:
    """Make a repository whose runs take a minute or so.

    Args:
        root: a folder that is not there yet.
        changes: of params.yaml, by key.
    """
    make_data(root / "data/fashion_mnist")
    write_params(root, {**SMALL, "num_tasks": 2, **changes})
    copy_code(root)
    run(root, "git", "init", "--quiet")
    commit(root, "Begin")
