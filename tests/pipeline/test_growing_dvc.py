"""A stream that grows under DVC: the same command again, killed, twice at once, as an experiment."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline import layout
from pipeline.files.sealed_json import file_digest
from tests.support.dvc_repository import ENVIRONMENT, commit, copy_code, run
from tests.support.image_files import tree
from tests.support.params import SMALL, SMALL_FOLDERS, write_params
from tests.support.runs import files

RAN = re.compile(r"Running stage '([^']+)'")
GROW = (sys.executable, "-m", "pipeline", "grow")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    for name in ("a", "b"):
        tree(folder / "stream" / name, {"cat": 10, "dog": 10})
    write_params(folder, {**SMALL, **SMALL_FOLDERS})
    copy_code(folder)
    run(folder, "git", "init", "--quiet")
    run(folder, *GROW[:3], "slots", "2")
    commit(folder, "Begin")
    return folder


def made(root: Path, last: int) -> dict[str, str]:
    """The splits and states up to a task."""
    paths = [layout.state(task) for task in range(last + 1)]
    paths += [layout.split(task) for task in range(1, last + 1)]
    return {str(path): file_digest(root / path) for path in paths}


def start(root: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        GROW, cwd=root, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, start_new_session=True,
    )  # fmt: skip


def run_grow(root: Path) -> tuple[int, list[str]]:
    """Grow; return the exit code, and the tasks that are said to be learnt."""
    growing = start(root)
    said, _ = growing.communicate()
    found = re.search(r"learnt: task ([\d, ]+)", said)
    return growing.returncode, found[1].strip().split(", ") if found else []


def test_a_stream_without_labels_grows(root: Path, warm_python: Path) -> None:
    shutil.rmtree(root / "stream")
    for name in ("a", "b"):
        tree(root / "stream" / name, {".": 20})
    assert run_grow(root) == (0, ["1", "2"])
    tree(root / "stream/c", {".": 20})
    assert run_grow(root) == (0, ["3"])
    assert run_grow(root) == (3, [])
    assert (root / "data/encoder.safetensors").is_file()


def test_a_stream_grows_under_dvc(
    root: Path, warm_python: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = start(root)
    said, _ = first.communicate()
    assert first.returncode == 0, said
    assert "learnt: task 1, 2" in said
    before = made(root, 2)
    commit(root, "Two tasks")

    # Nothing is new.
    idle = start(root)
    said, _ = idle.communicate()
    assert idle.returncode == 3, said
    assert RAN.findall(said) == []

    # A growth that is killed goes on; of two at once one waits. The first folder has gone.
    tree(root / "stream/c", {"cat": 10, "dog": 10})
    shutil.rmtree(root / "stream/a")
    killed = start(root)
    while killed.poll() is None and not list((root / layout.CHECKPOINTS).rglob("*.safetensors")):
        time.sleep(0.05)
    if killed.poll() is None:
        os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    time.sleep(2)  # a stage ends when its dvc has gone
    both = [start(root), start(root)]
    outputs = [process.communicate()[0] for process in both]
    assert sorted(process.returncode for process in both) in ([0, 3], [3, 3]), outputs
    assert sum("another growth is running" in said for said in outputs) == 1
    assert {stage for said in outputs for stage in RAN.findall(said)} <= {
        "plan", "confirm", "prepare", "train@3", "evaluate", "report"
    }  # fmt: skip
    assert made(root, 2) == before
    assert "3,3," in (root / "reports/accuracy_matrix.csv").read_text()
    assert "3,1," not in (root / "reports/accuracy_matrix.csv").read_text()

    # As an experiment, in a copy of what git has; the workspace stays as it is.
    commit(root, "Three tasks")
    before = made(root, 3)
    tree(root / "stream/d", {"cat": 10, "dog": 10})
    run(root, *GROW[:3], "slots", "4")
    run(root, "git", "add", "--all")
    workspace = {name: digest for name, digest in files(root).items() if "/.dvc/" not in name}
    # All stages have run in a Python of their own by now.
    monkeypatch.setitem(ENVIRONMENT, "PATH", f"{warm_python}{os.pathsep}{ENVIRONMENT['PATH']}")
    said = run(root, "dvc", "exp", "run", "--temp", "-n", "grown")
    assert set(RAN.findall(said)) == {"plan", "confirm", "prepare", "train@4", "evaluate", "report"}
    assert made(root, 3) == before
    assert (
        files(root).items()
        >= {
            name: digest
            for name, digest in workspace.items()
            if name.startswith(("data", "reports"))
        }.items()
    )
    refs = run(root, "git", "for-each-ref", "--format", "%(refname)", "refs/exps").splitlines()
    grown = next(ref for ref in refs if ref.endswith("/grown"))
    assert "4,4," in run(root, "git", "show", f"{grown}:reports/accuracy_matrix.csv")
