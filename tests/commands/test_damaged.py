"""Damaged outputs, and those that cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.commands import damaged
from pipeline.errors import RunError
from pipeline.files.sealed_json import write_sealed


def test_an_output_that_cannot_be_read_is_not_taken_for_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "evaluations.json"
    write_sealed(path, {"rows": []})
    assert not damaged._is_damaged(path)
    path.write_bytes(path.read_bytes()[:-3])
    assert damaged._is_damaged(path)

    def refuse(self: Path, *arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(RunError, match=r"evaluations\.json cannot be read \(Permission denied\)"):
        damaged._is_damaged(path)


def test_the_output_of_an_empty_slot_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "task_9.safetensors"
    path.write_bytes(b"null\n")
    assert not damaged._is_damaged(path)
    path.write_bytes(b"nil\n\n")
    assert damaged._is_damaged(path)
