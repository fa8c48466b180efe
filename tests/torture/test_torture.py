"""A small share of ``make torture``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.torture import stages as torture


def test_stages_that_are_killed_end_in_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warm_python: Path
) -> None:
    monkeypatch.setenv("PATH", f"{warm_python}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(torture, "STAGES", ["plan", "prepare", "init", "train 1", "train 2"])
    monkeypatch.setattr(torture, "LONGER", {"train.epochs": 40})
    monkeypatch.setattr(torture, "finish_report", lambda root: None)
    assert torture.run_trial("cassle", tmp_path, 2, 0, {"train 2": 2}) == []
