"""Checkpoint folders: each training locks its own."""

from __future__ import annotations

import pytest

from pipeline import layout
from pipeline.training.checkpoint import lock_checkpoint
from tests.support.project import Project


def test_two_equal_trainings_lock_a_checkpoint_each(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        lock_checkpoint(1, "ab" * 32, "cd" * 32) as first,
        lock_checkpoint(1, "ab" * 32, "cd" * 32) as second,
    ):
        assert first.path != second.path
        assert first.path.parent.name == "train_1-abababababab"
        assert second.path.parent.name == "train_1-abababababab-2"
    assert not list(layout.CHECKPOINTS.iterdir())


def test_a_saved_checkpoint_is_used_before_a_new_one(project: Project) -> None:
    with (
        lock_checkpoint(1, "ab" * 32, "cd" * 32),
        lock_checkpoint(1, "ab" * 32, "cd" * 32) as second,
    ):
        second.path.write_bytes(b"saved")
    with lock_checkpoint(1, "ab" * 32, "cd" * 32) as again:
        assert again.path == second.path
