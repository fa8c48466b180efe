"""Reading of the git repository through git's command line, without a checkout.

A call takes a few milliseconds.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from pipeline.errors import RunError


class NoGitError(RunError):
    """Git is not installed."""


def run_git(
    *arguments: str, given: str = "", environment: Mapping[str, str] | None = None
) -> bytes | None:
    """Return git's standard output, None if it fails.

    Args:
        arguments: git's arguments.
        given: its standard input.
        environment: variables that are set for it.

    Raises:
        NoGitError: git is not installed.
        RunError: git takes the repository for a stranger's.
    """
    try:
        done = subprocess.run(
            ["git", *arguments],
            input=given.encode(),
            capture_output=True,
            env={**os.environ, "LC_ALL": "C", **(environment or {})},
        )
    except OSError as error:
        raise NoGitError(
            f"git cannot be run ({error}); install it, other runs are in git"
        ) from error
    if done.returncode and b"dubious ownership" in done.stderr:
        command = done.stderr.decode(errors="replace").partition("call:")[2].strip()
        raise RunError(
            "git does not trust this repository, which belongs to another user; if you do, run "
            f"`{command}`"
        )
    return done.stdout if done.returncode == 0 else None


def require_repository() -> None:
    """Check that the current folder is in a git repository.

    Raises:
        RunError: it is not.
    """
    if run_git("rev-parse", "--git-dir") is None:
        raise RunError(
            "this folder is in no git repository, where runs are kept; run this in the project's "
            "root, in a clone of the project"
        )


def in_repository(folder: Path = Path()) -> bool:
    """Return whether a folder is in a git repository; not where git is not installed.

    Raises:
        RunError: git takes the repository for a stranger's.
    """
    with suppress(NoGitError):
        return run_git("-C", str(folder), "rev-parse", "--git-dir") is not None
    return False


def find_commit(revision: str) -> str | None:
    """Return the commit of a revision, None if it is unknown."""
    found = run_git(
        "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"
    )
    return None if found is None else found.decode().strip()


def list_references(*patterns: str) -> dict[str, str]:
    """Return the object ID of each reference; of an annotated tag that of its commit.

    Args:
        patterns: prefixes of references, e.g. ``refs/heads``.
    """
    form = "--format=%(objectname)%09%(*objectname)%09%(refname)"
    listed = (run_git("for-each-ref", form, *patterns) or b"").decode(errors="replace")
    found = {}
    for line in listed.splitlines():
        own, tagged, name = line.split("\t", 2)
        found[name] = tagged or own
    return found


def read_reflog(reference: str) -> list[str]:
    """Return the messages in a reference's reflog, the newest first."""
    listed = run_git("log", "--walk-reflogs", "--format=%gs", "--end-of-options", reference, "--")
    return (listed or b"").decode(errors="replace").splitlines()


def read_objects(names: Sequence[str]) -> list[bytes | None]:
    """Return the contents of objects, None for a missing one.

    Args:
        names: names as in ``git show``, e.g. ``<commit>:./reports/run.json``; no line breaks.
    """
    stream = run_git("cat-file", "--batch", given="".join(f"{name}\n" for name in names))
    if stream is None:
        return [None] * len(names)
    contents: list[bytes | None] = []
    for _ in names:
        header, _, stream = stream.partition(b"\n")
        size = header.rpartition(b" ")[2]
        if header.endswith((b" missing", b" ambiguous")):
            contents.append(None)
            continue
        contents.append(stream[: int(size)])
        stream = stream[int(size) + 1 :]
    return contents


def identify_objects(names: Sequence[str]) -> list[str | None]:
    """Return the IDs of objects, None for a missing one; names as in ``read_objects``."""
    form = "--batch-check=%(objectname)"
    listed = run_git("cat-file", form, given="".join(f"{name}\n" for name in names))
    lines = (listed or b"").decode().splitlines() or [" missing"] * len(names)
    return [None if " " in line else line for line in lines]


def list_pointers(path: Path) -> list[Path]:
    """Return the files of which one is there if DVC tracks a path, or a folder that it is in."""
    return [each.parent / f"{each.name}.dvc" for each in (path, *path.parents) if each.name]


def find_untracked_reason(path: Path) -> str | None:
    """Return why experiments that run in a copy of the repository lack a path; None: they do not.

    Args:
        path: relative to the current folder.
    """
    if not in_repository() or any(pointer.exists() for pointer in list_pointers(path)):
        return None
    if run_git("ls-files", "--error-unmatch", "--", str(path)) is not None:
        return None
    if run_git("check-ignore", "--quiet", "--", str(path)) is not None:
        return "is ignored by git"
    return "is not tracked by git"


def git_revision() -> str:
    """Return the checked-out commit, marked if code or params have uncommitted changes."""
    try:
        revision = run_git("rev-parse", "--short=12", "HEAD")
        # Not the whole tree: DVC has just moved dvc.lock and the reports.
        changed = run_git("status", "--porcelain", "--", "pipeline", "params.yaml", "dvc.yaml")
    except RunError:
        revision = changed = None
    if revision is None or changed is None:
        return "unknown (no git repository or no commit)"
    commit = revision.decode().strip()
    return f"{commit}, with uncommitted changes to code or params" if changed.strip() else commit


def identify_code() -> str:
    """Return what git calls the code of pipeline/ as it is here: the ID of its tree.

    Unlike the commit it is the same before and after the code, or anything else, is committed.
    """
    unknown = "unknown (no git repository)"
    try:
        objects, prefix = (
            (run_git("rev-parse", *asked) or b"").decode().rstrip("\n")
            for asked in (("--git-path", "objects"), ("--show-prefix",))
        )
        if not objects:
            return unknown
        with tempfile.TemporaryDirectory() as folder:
            # Nothing of the repository is touched: neither its index nor its objects.
            apart = {
                "GIT_INDEX_FILE": str(Path(folder) / "index"),
                "GIT_OBJECT_DIRECTORY": folder,
                "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(Path(objects).resolve()),
            }
            if run_git("add", "--", "pipeline", environment=apart) is None:
                return unknown
            tree = run_git("write-tree", f"--prefix={prefix}pipeline/", environment=apart)
    except (RunError, OSError):
        return unknown
    return unknown if tree is None else f"git tree {tree.decode().strip()[:12]} of pipeline/"
