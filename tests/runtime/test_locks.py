"""Locks: one process at a time writes the outputs of a stage."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline import layout
from pipeline.errors import RunError
from pipeline.runtime import locks
from pipeline.runtime.locks import lock_outputs, name_lock
from pipeline.training.checkpoint import lock_checkpoint
from tests.support.params import ROOT
from tests.support.project import Project

HOLDER = """
import sys
sys.path.insert(0, {root!r})
sys.argv = ["cassle", "train", "2"]
from pathlib import Path
from pipeline.runtime.locks import lock_outputs
from pipeline.training.checkpoint import lock_checkpoint
with lock_outputs({stage!r}, [Path("data/states/task_2.safetensors")]):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_process(stage: str) -> Iterator[subprocess.Popen[str]]:
    """A process that holds a stage's lock here, until its input ends."""
    code = HOLDER.format(root=str(ROOT), stage=stage)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        if process.poll() is None:
            process.kill()


@pytest.fixture
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "TIMEOUT_SECONDS", 0.2)


@pytest.mark.usefixtures("no_patience")
def test_a_second_process_is_told_which_one_runs_the_stage(project: Project) -> None:
    project.must("plan")
    with another_process("prepare") as process:
        code, _, err = project.cassle("prepare")
        assert code == 2
        assert err.startswith(
            f"error: prepare is being run by process {process.pid} (cassle train 2)"
        )
        assert err.endswith("wait until it ends, or stop it, and run this again\n")
        assert not layout.SPLITS.exists()
        # Another stage has another lock.
        project.must("init")
    project.must("prepare")


def test_a_second_process_waits_and_runs_after_the_first(project: Project) -> None:
    project.must("plan")
    with another_process("prepare") as process:
        assert process.stdin is not None
        process.stdin.close()
        project.must("prepare")


@pytest.mark.usefixtures("no_patience")
def test_the_lock_of_a_killed_process_is_free(project: Project) -> None:
    project.must("plan")
    with another_process("prepare") as process:
        process.kill()
        process.wait()
        project.must("prepare")


@pytest.mark.usefixtures("no_patience")
def test_a_lock_is_free_again_after_an_error(project: Project) -> None:
    with pytest.raises(RuntimeError), lock_outputs("train_1", []):
        raise RuntimeError
    with lock_outputs("train_1", []):
        pass


@pytest.mark.usefixtures("no_patience")
def test_two_exports_to_one_folder_do_not_mix(project: Project) -> None:
    project.trained(0)
    with another_process(name_lock("export", Path("out"))) as process:
        code, _, err = project.cassle(
            "export", "0", "--output", str(project.root / "out"), "--no-onnx"
        )
        assert code == 2
        assert f"is being run by process {process.pid}" in err
        assert not Path("out").exists()
        project.must("export", "0", "--output", "other", "--no-onnx")
    project.must("export", "0", "--output", "out", "--no-onnx")


def test_only_half_written_files_of_a_killed_process_are_removed(project: Project) -> None:
    layout.STATES.mkdir(parents=True)
    ours = layout.STATES / ".task_2.safetensors.unfinished.abcd1234"
    others = [
        layout.STATES / name for name in (".task_1.safetensors.unfinished.abcd1234", ".gitignore")
    ]
    others.append(layout.state(2))
    for path in (ours, *others):
        path.write_bytes(b"half")
    with lock_outputs("train_2", [layout.state(2)]):
        assert not ours.exists()
        assert all(path.exists() for path in others)


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_where_the_file_system_has_no_locks_nobody_is_blamed(
    number: int, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(handle: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", fail)
    code, _, err = project.cassle("plan")
    assert code == 2
    assert err.startswith(
        "error: cannot lock .scratch/locks/plan.lock: its file system has no locks"
    )
    assert "on one that has flock" in err
    code, _, err = project.cassle("grow")
    assert code == 2
    assert err.startswith(
        "error: cannot lock .scratch/locks/grow.lock: its file system has no locks"
    )
    with pytest.raises(RunError, match="train_1-ab/lock: its"), lock_checkpoint(1, "ab", "cd"):
        pass


def test_nobody_can_lock_where_nothing_can_be_written(project: Project) -> None:
    layout.SCRATCH.write_bytes(b"a file in the folder's place")
    with (
        pytest.raises(RunError, match=r"cannot lock \.scratch/locks/train_2\.lock"),
        lock_outputs("train_2", []),
    ):
        pass


def test_a_path_that_is_no_text_has_a_lock(tmp_path: Path) -> None:
    odd, other = (tmp_path / os.fsdecode(name) for name in (b"photos\xff", b"photos\xfe"))
    assert name_lock("embed", odd) != name_lock("embed", other)
