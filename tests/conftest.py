"""Fixtures of all tests, and the marker of each: ``unit`` or ``pipeline``."""

from __future__ import annotations

import copy
import functools
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.config import fingerprint, read
from pipeline.runtime import arithmetic
from tests.support import warm_python as warm_python_server
from tests.support.project import Project
from tests.support.results_repository import Repository
from tests.support.runs import Runs

# Rooms of tests that run stages or start processes.
PIPELINE_FOLDERS = {"pipeline", "torture", "distributed", "benchmarks"}
PIPELINE_FIXTURES = {"project", "repository"}
# Files with tests that take minutes: they come first, so that no process is left alone with one.
LONGEST_FIRST = [
    "test_dvc.py",
    "test_growing_dvc.py",
    "test_changed_inputs_dvc.py",
    "test_growing.py",
    "test_export.py",
    "test_launch.py",
    "test_processes.py",
    "test_measure.py",
    "test_torture.py",
    "test_group.py",
    "test_compare_inputs.py",
    "test_extending.py",
    "test_online.py",
    "test_presets.py",
    "test_fuzz_params.py",
    "test_strategies.py",
]

# Under nohup it is ignored, which the project respects; processes of the tests inherit this.
signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test that is not marked in its file, and put the longest first."""
    place = {name: number for number, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))
    for item in items:
        if any(item.iter_markers("unit")) or any(item.iter_markers("pipeline")):
            continue
        fixtures = PIPELINE_FIXTURES & set(getattr(item, "fixturenames", ()))
        whole = fixtures or PIPELINE_FOLDERS & set(item.path.parts[-2:-1])
        item.add_marker(pytest.mark.pipeline if whole else pytest.mark.unit)


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Runs:
    """The runs of this session, shared by the processes of pytest-xdist."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "runs"
    folder.mkdir(exist_ok=True)
    return Runs(folder)


@pytest.fixture(scope="session")
def warm_python() -> Iterator[Path]:
    """The folder of a ``python`` that has torch imported, for the beginning of a PATH."""
    with warm_python_server.run_server() as folder:
        yield folder


@pytest.fixture
def cpu_description(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which the system describes the CPU; not there."""
    path = tmp_path / "cpuinfo"
    monkeypatch.setattr(arithmetic, "CPU_DESCRIPTION", path)
    return path


@pytest.fixture
def project(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    runs: Runs,
) -> Project:
    """A project of a few images, as the working folder."""
    return Project(tmp_path, monkeypatch, capsys, runs)


@pytest.fixture
def repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Repository:
    """A git repository for runs made by hand, as the working folder."""
    return Repository(tmp_path, monkeypatch, capsys)


@pytest.fixture
def package(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A copy of the package to edit, which the fingerprints are taken of."""
    root = tmp_path_factory.mktemp("code")
    shutil.copytree(
        fingerprint.ROOT / "pipeline",
        root / "pipeline",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    monkeypatch.setattr(fingerprint, "ROOT", root)
    fingerprint.forget_sources()
    yield root / "pipeline"
    fingerprint.forget_sources()


@pytest.fixture(scope="session", autouse=True)
def _quick_stages() -> Iterator[None]:
    """Spare small stages what takes most of their time: parsing params, waiting for the disk.

    A text of params is parsed once a process. Files are written, but not waited for: a plan
    alone is about a hundred waits, and no test pulls the plug.
    """
    parse = functools.lru_cache(maxsize=64)(read.read_mapping)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(read, "read_mapping", lambda *given: copy.deepcopy(parse(*given)))
        patch.setattr(os, "fsync", lambda handle: None)
        yield
