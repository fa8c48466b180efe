"""The DVC repository in which the stages run."""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import RunError
from pipeline.runtime.git import in_repository


def find_dvc_root(folder: Path) -> Path | None:
    """Return the root of the DVC repository that a folder is in; None: it is in none."""
    return next((each for each in (folder, *folder.parents) if (each / ".dvc").is_dir()), None)


def require_dvc_repository(folder: Path) -> str:
    """Return in what ``dvc repro`` runs in a folder, in words.

    That is in a DVC repository, which lies in a git repository, be it in a folder of it
    (``dvc init --subdir``), or does without (``dvc init --no-scm``).

    Raises:
        RunError: it is not.
    """
    root = find_dvc_root(folder)
    in_git = in_repository(folder)
    if root is not None and (in_git or _does_without_git(root)):
        return "git and DVC" if in_git else "DVC without git"
    name, command = ("DVC", "dvc init") if root is None and in_git else ("git", "git init")
    raise RunError(
        f"{folder} is in no {name} repository, which `dvc repro` needs; make a project with "
        f"`cassle new`, or run `{command}` (single stages run without: cassle plan, prepare, "
        "init, train, evaluate, report)"
    )


def _does_without_git(root: Path) -> bool:
    """Return whether DVC is told to use no git, by ``core.no_scm``."""
    from dvc.config import Config

    core = Config(str(root / ".dvc"), validate=False).get("core", {})
    return bool(core.get("no_scm"))
