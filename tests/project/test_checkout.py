"""A clone holds the committed bytes, whatever git is told about line endings."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = next(folder for folder in Path(__file__).parents if (folder / "params.yaml").exists())


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def test_what_stages_write_into_data_is_not_committed() -> None:
    locked = YAML(typ="safe").load((ROOT / "dvc.lock").read_text())["stages"].values()
    paths = [out["path"] for stage in locked for out in stage.get("outs", ())]
    wanted = [path for path in paths if path.startswith("data/")]
    assert len(wanted) > 20
    asked = subprocess.run(
        ["git", "check-ignore", *wanted], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert asked.stdout.split() == wanted


def test_what_is_exported_is_not_committed(tmp_path: Path) -> None:
    shutil.copy(ROOT / ".gitignore", tmp_path)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "check-ignore", "exports/last/README.md")


@pytest.mark.parametrize("setting", ["true", "input", "false"])
def test_a_clone_holds_the_committed_bytes_under_any_autocrlf(setting: str, tmp_path: Path) -> None:
    origin = tmp_path / "origin"
    shutil.copytree(ROOT / "reports", origin / "reports")
    shutil.copy(ROOT / ".gitattributes", origin)
    (origin / "both.txt").write_bytes(b"unix\nwindows\r\n")
    git(origin, "init", "--quiet")
    git(origin, "-c", f"core.autocrlf={setting}", "add", "--all")
    git(origin, "commit", "--quiet", "--message", "Files")
    git(tmp_path, "clone", "--quiet", "-c", f"core.autocrlf={setting}", "origin", "clone")
    for path in origin.rglob("*"):
        if path.is_file() and ".git" not in path.relative_to(origin).parts:
            copy = tmp_path / "clone" / path.relative_to(origin)
            assert copy.read_bytes() == path.read_bytes(), copy
