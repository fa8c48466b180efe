"""What the code is called in git: the same before and after a commit."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from pipeline.errors import RunError
from pipeline.runtime.git import (
    find_untracked_reason,
    identify_code,
    in_repository,
    require_repository,
)


def git(*arguments: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@t")
    done = subprocess.run(
        ["git", *identity, *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.mark.parametrize("folder", [".", "inside"])
def test_the_code_is_called_by_its_tree_before_and_after_a_commit(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / folder
    (root / "pipeline").mkdir(parents=True)
    (root / "pipeline/code.py").write_text("1")
    (root / ".gitignore").write_text("*.pyc")
    monkeypatch.chdir(tmp_path)
    git("init", "--quiet")
    monkeypatch.chdir(root)
    before = identify_code()
    status = git("status", "--porcelain", "--untracked-files=all")
    assert "pipeline/code.py" in status, "nothing was added to the index"
    git("add", ".")
    git("commit", "--quiet", "-m", "Begin")
    assert identify_code() == before
    tree = git("rev-parse", "HEAD:./pipeline")
    assert before == f"git tree {tree[:12]} of pipeline/"
    (root / "pipeline/code.pyc").write_text("ignored")
    (root / "params.yaml").write_text("seed: 1")
    assert identify_code() == before
    objects = git("count-objects")
    (root / "pipeline/code.py").write_text("2")
    assert identify_code() != before
    assert git("count-objects") == objects, "the repository is not touched"


def test_without_a_repository_the_code_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pipeline").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert identify_code() == "unknown (no git repository)"


def test_a_path_is_looked_for_in_git_if_there_is_git(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own").mkdir()
    (tmp_path / "own/0.png").write_bytes(b"0")
    assert not in_repository()
    assert find_untracked_reason(Path("own")) is None
    git("init", "--quiet")
    assert find_untracked_reason(Path("own")) == "is not tracked by git"
    assert find_untracked_reason(Path()) == "is not tracked by git"
    (tmp_path / ".gitignore").write_text("own\n")
    assert find_untracked_reason(Path("own")) == "is ignored by git"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not in_repository()
    assert find_untracked_reason(Path("own")) is None, "git is not installed"


def test_a_repository_of_another_user_is_no_missing_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    git("init", "--quiet")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, "/dev/null")
    (tmp_path / "inside").mkdir()
    monkeypatch.chdir(tmp_path / "inside")
    wanted = f"run `git config --global --add safe.directory {tmp_path}`"
    for look in (require_repository, in_repository):
        with pytest.raises(RunError, match=re.escape(wanted)):
            look()
