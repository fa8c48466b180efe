"""What the code is called in a report and a card: never by the project that uses it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.reporting import code_name
from tests.support.params import ROOT


def test_in_a_project_of_its_own_the_code_is_called_by_version_and_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(code_name, "identify_code", lambda: "the tree in git")
    monkeypatch.setattr(code_name, "version", {"cassle-pipeline": "1.2.3"}.get)
    found = code_name.name_code()
    assert re.fullmatch(r"cassle-pipeline 1\.2\.3, SHA-256 [0-9a-f]{12} of its files", found)
    monkeypatch.chdir(ROOT)
    assert code_name.name_code() == "the tree in git"
