"""A checkout of the project for one job, and the way of its experiment back.

It is a clone that borrows the objects of the project's repository, not a worktree of git's: those
share all references, and ``dvc exp run`` (3.67) keeps what it runs in ``refs/exps/exec``, so of
several at once some fail.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from pipeline.errors import RunError
from pipeline.files.atomic import write_text
from pipeline.runtime.dvc_repository import find_dvc_root

# What git and DVC set for programs that they start would lead them to another repository.
MISLEADING = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "DVC_STAGE")


def git(*arguments: str, output: int | None = None) -> str:
    """Return git's standard output.

    Args:
        arguments: git's.
        output: where to write it instead, with what git says; a descriptor.

    Raises:
        RunError: git fails.
    """
    environment = {name: value for name, value in os.environ.items() if name not in MISLEADING}
    done = subprocess.run(
        ["git", *arguments],
        env=environment,
        stdout=subprocess.PIPE if output is None else output,
        stderr=subprocess.PIPE if output is None else output,
        text=True,
        start_new_session=True,  # Ctrl-C is for the sweep, which stops after it
    )
    if done.returncode != 0:
        said = (done.stderr or "").strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise RunError(f"git {arguments[0]}: {said[0]}")
    return done.stdout or ""


def make_checkout(folder: Path, baseline: str) -> Path:
    """Check a commit out into a folder; what was there goes.

    DVC's cache there is that of the project.

    Args:
        folder: on the project's file system.
        baseline: the commit.

    Returns:
        The project's root in it.

    Raises:
        RunError: git fails, or the folder cannot be written.
    """
    remove_checkout(folder)
    top = Path(git("rev-parse", "--show-toplevel").strip())
    inside = Path(git("rev-parse", "--show-prefix").strip())
    git("clone", "--quiet", "--shared", "--no-checkout", "--template=", str(top), str(folder))
    git("-C", str(folder), "checkout", "--quiet", "--detach", baseline)
    root = find_dvc_root(Path.cwd().resolve())
    assert root is not None, "a sweep starts in a DVC repository"
    settings = "".join(f"    {name} = {value}\n" for name, value in read_cache(root).items())
    place = folder / root.relative_to(top.resolve()) / ".dvc" / "config.local"
    write_text(place, f"[cache]\n{settings}")
    return folder / inside


def remove_checkout(folder: Path) -> None:
    """Remove a job's checkout, if it is there.

    Raises:
        RunError: something in it cannot be removed.
    """
    try:
        if folder.exists():
            shutil.rmtree(folder)
    except OSError as error:
        raise RunError(f"cannot remove {folder}: {error.strerror or error}") from error


def read_cache(root: Path) -> dict[str, str]:
    """Return DVC's settings of the cache in a repository, its folder among them."""
    from dvc.config import Config

    held = Config(str(root / ".dvc"), validate=False).get("cache", {})
    folder = held.get("dir") or root / ".dvc" / "cache"
    simple = {name: str(held[name]) for name in ("type", "shared") if name in held}
    return {"dir": str(folder), **simple}


def name_reference(baseline: str, name: str) -> str:
    """Return the reference by which DVC keeps an experiment."""
    return f"refs/exps/{baseline[:2]}/{baseline[2:]}/{name}"


def keep_experiment(checkout: Path, baseline: str, name: str) -> None:
    """Bring an experiment from a checkout to the project's repository.

    Raises:
        RunError: it is not there, or git fails.
    """
    reference = name_reference(baseline, name)
    options = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance")
    git("fetch", *options, str(checkout), f"+{reference}:{reference}")
