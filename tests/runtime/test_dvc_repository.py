"""Where ``dvc repro`` can run: everywhere DVC says so, and nowhere else."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.errors import RunError
from pipeline.runtime.dvc_repository import require_dvc_repository

pytestmark = pytest.mark.pipeline  # starts DVC


def run(folder: Path, *command: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


@pytest.mark.parametrize(
    ("repository", "options"),
    [("project", ()), (".", ("--subdir",)), (None, ("--no-scm",)), (".", ("--no-scm",))],
)
def test_a_repository_of_dvc_is_one_in_git_in_a_folder_of_it_or_without(
    repository: str | None, options: Sequence[str], tmp_path: Path
) -> None:
    project = tmp_path / "project"
    if repository is not None:
        run(tmp_path / repository, "git", "init", "--quiet")
    run(project, "dvc", "init", "--quiet", *options)
    found = require_dvc_repository(project)
    assert found == ("git and DVC" if repository else "DVC without git")
    (project / "below").mkdir()
    require_dvc_repository(project / "below")


def test_what_is_missing_is_named_with_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is in no git repository, .*`git init`"):
        require_dvc_repository(tmp_path)
    (tmp_path / ".dvc").mkdir()
    with pytest.raises(RunError, match=r"is in no git repository, .*`git init`"):
        require_dvc_repository(tmp_path)
    (tmp_path / ".dvc").rmdir()
    run(tmp_path, "git", "init", "--quiet")
    with pytest.raises(RunError, match=r"is in no DVC repository, .*`dvc init`"):
        require_dvc_repository(tmp_path)
