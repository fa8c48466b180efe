"""The inputs of a stage, noted when it begins, so that none changes while it runs.

DVC notes a stage's dependencies when the stage has ended. So what changes in between would
pass for what the outputs were made from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pipeline.errors import PipelineError, RunError
from pipeline.files.sealed_json import file_digest

MISSING = "missing"


@dataclass(frozen=True)
class NotedInput:
    """An input as it was when it was noted.

    Attributes:
        changed: what to say where it is no longer the same.
        list_files: lists the files that it lies in, as they are now.
        identify: computes the digest of its content, as it is now.
        status: the digest of the files' sizes, times and places on the disk.
        content: the digest of its content.
    """

    changed: str
    list_files: Callable[[], Iterable[Path]]
    identify: Callable[[], str]
    status: str
    content: str

    def require_unchanged(self) -> None:
        """Check that the content is the same; it is read again only if a file was touched.

        Raises:
            RunError: it is not.
        """
        try:
            same = digest_status(self.list_files()) == self.status
            same = same or self.identify() == self.content
        except PipelineError as error:
            raise RunError(f"{self.changed} ({error})") from error
        if not same:
            raise RunError(self.changed)


class Inputs:
    """The files and the code that a stage is made from, noted when it begins.

    Args:
        stage: its name in messages.
    """

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self._noted: list[NotedInput] = []

    def note(
        self,
        changed: str,
        list_files: Callable[[], Iterable[Path]],
        identify: Callable[[], str],
        known: tuple[str, str] | None = None,
    ) -> None:
        """Note one more input.

        Args:
            changed: what to say where it is no longer the same.
            list_files: lists the files that it lies in.
            identify: computes the digest of its content.
            known: the status of the files and the digest of their content, where that was read
                already.
        """
        # First the status: what changes while the content is read then shows.
        status, content = known or (digest_status(list_files()), identify())
        self._noted.append(NotedInput(changed, list_files, identify, status, content))

    def note_files(self, paths: Iterable[Path]) -> None:
        """Note files by their bytes; a file may be missing, and then has to stay so."""
        for path in paths:
            changed = (
                f"{path} changed while {self.stage} ran; run the same command again, or `dvc repro`"
            )
            self.note(changed, partial(_list_one, path), partial(_digest_or_missing, path))

    def require_unchanged(self) -> None:
        """Check that all are as they were when they were noted.

        Raises:
            RunError: one is not.
        """
        for noted in self._noted:
            noted.require_unchanged()


def _list_one(path: Path) -> list[Path]:
    return [path]


def _digest_or_missing(path: Path) -> str:
    try:
        return file_digest(path)
    except OSError:
        return MISSING


def digest_status(paths: Iterable[Path]) -> str:
    """The SHA-256 of what the file system says of files.

    A write leaves it the same only if it leaves the size and is within a tick of the disk's clock.
    """
    total = hashlib.sha256()
    for path in paths:
        try:
            found = path.stat()
        except (OSError, ValueError):
            told = MISSING
        else:
            told = f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}"
        total.update(f"{path}\n{told}\n".encode(errors="surrogateescape"))
    return total.hexdigest()
