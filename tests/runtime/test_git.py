"""What the code is called in git: the same before and after a commit."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pipeline.runtime.git import identify_code


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
