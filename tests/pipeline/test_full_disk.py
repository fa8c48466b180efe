"""A disk that is full at any write: one clear error, nothing lost, and the next run succeeds."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from pipeline import layout
from pipeline.runtime.empty_slots import EMPTY
from tests.support.params import ROOT
from tests.support.project import Project

STAGES = [
    ("plan",),
    ("prepare",),
    ("init",),
    ("train", "1"),
    ("train", "5"),
    ("evaluate",),
    ("report",),
]
# How many of a stage's writes are tried: all, but for the plan's many files of one kind.
EVERY = {"plan": 7}
OLD = b"an earlier result\n"


@pytest.fixture
def project(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A run of one task and all its outputs."""
    project.set({"num_tasks": 1, "evaluation.probes": ["linear"]})
    project.set({"train.epochs": 1, "train.warmup_epochs": 0})
    shutil.copy(ROOT / layout.CHAIN, layout.CHAIN)
    project.finished(1, "train 5 --planned")
    # Drawing takes most of a report's time, and writes nothing.
    monkeypatch.setattr(Figure, "savefig", lambda self, file, **options: file.write(b"png"))
    return project


def files(root: Path) -> list[Path]:
    """All but locks and who holds them."""
    found = (path for path in root.rglob("*") if path.is_file())
    return [path for path in found if layout.SCRATCH.name not in path.parts]


def held(root: Path) -> dict[Path, bytes]:
    return {path.relative_to(root): path.read_bytes() for path in files(root)}


def outputs(project: Project, stage: tuple[str, ...]) -> dict[Path, bytes]:
    """Run a stage; return what it wrote."""
    times = {path: path.stat().st_mtime_ns for path in files(project.root)}
    if stage == ("plan",):  # which leaves alone what would not change
        shutil.rmtree(layout.PLAN)
    if stage == ("evaluate",):  # likewise
        for path in (layout.EVALUATIONS, layout.FEATURES, layout.ENCODER, layout.VIEWS):
            path.unlink()
    project.must(*stage, *planned(stage))
    return {
        path.relative_to(project.root): path.read_bytes()
        for path in files(project.root)
        if times.get(path) != path.stat().st_mtime_ns
    }


def planned(stage: tuple[str, ...]) -> tuple[str, ...]:
    return () if stage == ("plan",) else ("--planned",)


def set_back(written: dict[Path, bytes]) -> None:
    for path, content in written.items():
        # An empty slot replaces nothing that a training has left.
        path.write_bytes(EMPTY if content == EMPTY else OLD)


def steady(content: bytes, path: Path) -> bytes:
    """What is the same each time: a timing is not, nor what is drawn from it."""
    moves = (str(layout.timing(1)), "reports/cost.json", "reports/report", "reports/run.json")
    return b"" if str(path).startswith(moves) and content != OLD else content


def check_refused(
    project: Project, stage: tuple[str, ...], before: dict[Path, bytes], written: dict[Path, bytes]
) -> bool:
    """Run a stage; return whether it failed, with one error and each file old or whole."""
    code, _, err = project.cassle(*stage, *planned(stage))
    if code == 0:
        return False
    assert code == 2, err
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, err
    assert errors[0].startswith("error: cannot write ")
    assert any(f"cannot write {path}: " in errors[0] for path in written), errors
    assert "Traceback" not in err
    after = held(project.root)
    assert after.keys() == before.keys(), "no temporary is left"
    for path, content in after.items():
        whole = {steady(before[path], path), steady(written.get(path, before[path]), path)}
        assert steady(content, path) in whole, path
    return True


@pytest.mark.parametrize("stage", STAGES, ids=" ".join)
def test_no_space_at_any_write_of_a_stage(
    stage: tuple[str, ...], project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = outputs(project, stage)
    assert written
    sync, calls = os.fsync, 0

    def full_at(number: int) -> None:
        nonlocal calls
        calls = 0

        def fsync(handle: int) -> None:
            nonlocal calls
            calls += 1
            if calls == number:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            sync(handle)

        monkeypatch.setattr(os, "fsync", fsync)

    number, failures = 1, 0
    while True:
        set_back(written)
        before = held(project.root)
        full_at(number)
        if not check_refused(project, stage, before, written):
            break
        failures += 1
        number += EVERY.get(stage[0], 1)
    assert calls < number
    assert failures >= len(written) / EVERY.get(stage[0], 1), "each file was tried"
    for path, content in written.items():
        assert steady(path.read_bytes(), path) == steady(content, path)


def test_no_space_at_any_write_of_an_export(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("export", "1", "--output", "out", "--no-onnx", "--force")
    project.must(*command)
    before = held(project.root)
    sync, number, code, put_in_place = os.fsync, 0, 2, 0
    while code != 0:
        number += 1
        left = number

        def fsync(handle: int) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            sync(handle)

        monkeypatch.setattr(os, "fsync", fsync)
        code, _, err = project.cassle(*command)
        assert code == 0 or (code, err.count("error: cannot write out")) == (2, 1), err
        if held(project.root) != before:
            put_in_place += 1
            assert list(Path("out").glob(".unfinished.*")), "it says that it is not whole"
            monkeypatch.setattr(os, "fsync", sync)
            project.must(*command)
        assert held(project.root) == before
    assert number > 8, "three files and their folders, and the folder that they end in"
    assert 0 < put_in_place < number - 6


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size; Python turns the signal into EFBIG."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("stage", STAGES, ids=" ".join)
def test_no_file_may_grow(stage: tuple[str, ...], project: Project) -> None:
    written = outputs(project, stage)
    largest = max(len(content) for content in written.values())
    for size in sorted({0, largest // 2}):
        set_back(written)
        before = held(project.root)
        with file_size_limit(size):
            assert check_refused(project, stage, before, written)
    project.must(*stage, *planned(stage))
    for path, content in written.items():
        assert steady(path.read_bytes(), path) == steady(content, path)


@pytest.mark.parametrize("command", ["list methods", "check", "list methods 2> /dev/full"])
def test_no_space_for_what_is_printed_is_one_error_too(command: str, project: Project) -> None:
    full = f"'{sys.executable}' -m pipeline {command} > /dev/full"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(["sh", "-c", full], capture_output=True, text=True, env=environment)
    assert done.returncode == 2
    said = "error: cannot write what this prints: No space left on device; make room, and run "
    assert done.stderr == ("" if "2>" in command else f"{said}this again\n")


@pytest.mark.parametrize("stage", ["plan", "prepare"])
def test_a_process_of_its_own_ends_with_one_line(stage: str, project: Project) -> None:
    shutil.rmtree(layout.SPLITS if stage == "prepare" else layout.PLAN)
    command = f"ulimit -f 0; exec '{sys.executable}' -m pipeline {stage}"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, env=environment)
    assert done.returncode == 2, done.stderr
    assert "error: cannot write data/" in done.stderr
    assert "File too large" in done.stderr
    assert "Traceback" not in done.stderr
    project.must(stage)


def test_no_space_for_what_is_kept_between_evaluations_costs_no_output(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = held(project.root)
    for folder in (layout.EXTRACTED, layout.ROWS):
        shutil.rmtree(folder)
        folder.write_text("no folder")
    for path in (layout.EVALUATIONS, layout.FEATURES, layout.ENCODER, layout.VIEWS):
        path.unlink()
    project.must("evaluate", "--planned")
    assert held(project.root) == before
