"""``cassle clean``: what it lists, what it removes, and what it leaves."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from pipeline import layout
from pipeline.runtime.locks import open_lock
from pipeline.training.saved import LOCK, remove_unheld
from tests.support.interruption import at_step, checkpoints, send
from tests.support.project import Project


def interrupted(project: Project, monkeypatch: pytest.MonkeyPatch) -> Path:
    project.trained(0)
    at_step(monkeypatch, 2, send(signal.SIGINT))
    assert project.cassle("train", "1")[0] == 130
    (path,) = checkpoints()
    return path


def test_clean_lists_all_and_removes_what_is_stale(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = interrupted(project, monkeypatch)
    left = layout.STATES / ".task_1.safetensors.unfinished.abcd1234"
    params = Path(".params.yaml.unfinished.abcd1234")
    kept = Path(".env.yaml.unfinished.abcd1234")
    others = [layout.STATES / ".env.notes123", layout.STATES / ".old.unfinished.abcd1234"]
    others[1].mkdir(parents=True)
    for file in (left, params, kept, others[0]):
        file.write_bytes(b"half")
        os.utime(file, (0, 0))
    out = project.must("clean", "--yes")
    assert f"{path.parent}  " in out
    assert "task 1 after step 3, saved " in out
    assert "of the current plan" in out
    assert f"{left}  0.0 MB  unfinished" in out
    assert path.exists()
    assert (left.exists(), params.exists(), kept.exists()) == (False, False, True)
    assert all(other.exists() for other in others), "they are nobody's but the user's"
    assert project.must("clean", "--yes").endswith("nothing to remove without --all\n")
    project.set({"seed": 1})
    project.must("plan")
    out = project.must("clean", "--yes")
    assert "of another plan" in out
    assert out.endswith("removed 1 of 1\n")
    assert not path.exists()
    assert project.must("clean", "--yes") == "nothing to remove\n"


def test_clean_all_removes_what_could_still_be_used_but_not_what_is(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = interrupted(project, monkeypatch)
    layout.STORES.mkdir(parents=True)
    (layout.STORES / "a.uint8").write_bytes(b"1")
    from filelock import FileLock

    with FileLock(path.parent / "lock"):
        out = project.must("clean", "--all", "--yes")
        assert f"{path.parent} stays: it is in use" in out
        assert out.endswith("removed 1 of 2\n")
    assert path.exists()
    assert not list(layout.STORES.iterdir())
    project.must("clean", "--all", "--yes")
    assert not path.parent.exists()


def test_a_held_checkpoint_stays_and_only_one_of_the_plan_goes(tmp_path: Path) -> None:
    (tmp_path / "unreadable").write_bytes(b"")
    with open_lock(tmp_path / LOCK, 0):
        assert not remove_unheld(tmp_path)
    with pytest.raises(ValueError, match="checkpoint"):
        remove_unheld(tmp_path, "plan")
    assert tmp_path.exists()
    assert remove_unheld(tmp_path)
    assert not tmp_path.exists()


def test_clean_asks_where_it_can_and_else_wants_consent(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = interrupted(project, monkeypatch)
    path.write_bytes(b"damaged")
    code, out, err = project.cassle("clean")
    assert code == 2
    assert "damaged" in out
    assert "add --yes" in err
    assert path.exists()
