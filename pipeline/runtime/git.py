"""What git holds, through its command line: a few milliseconds a call, and no checkout."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from pipeline.errors import RunError


def run_git(*arguments: str, given: str = "") -> bytes | None:
    """Return what git prints, or None where it fails.

    Args:
        arguments: of the command line.
        given: what git reads from its standard input.

    Raises:
        RunError: there is no git on this machine.
    """
    try:
        done = subprocess.run(["git", *arguments], input=given.encode(), capture_output=True)
    except OSError as error:
        raise RunError(f"git cannot be run ({error}); install it, other runs are in git") from error
    return done.stdout if done.returncode == 0 else None


def require_repository() -> None:
    """Check that git holds something for this folder.

    Raises:
        RunError: it is in no git repository.
    """
    if run_git("rev-parse", "--git-dir") is None:
        raise RunError(
            "this folder is in no git repository, where runs are kept; run this in the project's "
            "root, in a clone of the project"
        )


def find_commit(revision: str) -> str | None:
    """Return the commit that git knows under a name, or None."""
    found = run_git(
        "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"
    )
    return None if found is None else found.decode().strip()


def list_references(*patterns: str) -> dict[str, str]:
    """Return the object that each reference stands for; that of an annotated tag is its commit.

    Args:
        patterns: beginnings of references, e.g. ``refs/heads``.
    """
    form = "--format=%(objectname)%09%(*objectname)%09%(refname)"
    listed = (run_git("for-each-ref", form, *patterns) or b"").decode()
    found = {}
    for line in listed.splitlines():
        own, tagged, name = line.split("\t", 2)
        found[name] = tagged or own
    return found


def read_reflog(reference: str) -> list[str]:
    """Return the messages of a reference's log, the newest first."""
    listed = run_git("log", "--walk-reflogs", "--format=%gs", "--end-of-options", reference, "--")
    return (listed or b"").decode(errors="replace").splitlines()


def read_objects(names: Sequence[str]) -> list[bytes | None]:
    """Return the contents of objects, None where there is no such object.

    Args:
        names: as in ``git show``, e.g. ``<commit>:./reports/run.json``; no line breaks.
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
    """Return the ids of objects, None where there is no such object; names as above."""
    form = "--batch-check=%(objectname)"
    listed = run_git("cat-file", form, given="".join(f"{name}\n" for name in names))
    lines = (listed or b"").decode().splitlines() or [" missing"] * len(names)
    return [None if " " in line else line for line in lines]


def git_revision() -> str:
    """Return the checked-out commit, marked if what shapes a result differs from it."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        revision = git("rev-parse", "--short=12", "HEAD")
        # Not the whole tree: DVC has just moved dvc.lock and the reports.
        changed = git("status", "--porcelain", "--", "pipeline", "params.yaml", "dvc.yaml")
    except (OSError, subprocess.CalledProcessError):
        return "unknown (no git repository or no commit)"
    return f"{revision}, with uncommitted changes to code or params" if changed else revision
