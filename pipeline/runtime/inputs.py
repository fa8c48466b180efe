"""The inputs of a stage, noted when it begins, so that none changes while it runs.

DVC notes a stage's dependencies when the stage has ended. So what changes in between would
pass for what the outputs were made from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
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

    def note(self, noted: NotedInput) -> None:
        """Note one more input."""
        self._noted.append(noted)

    def note_files(self, paths: Iterable[Path]) -> None:
        """Note files by their bytes; a file may be missing, and then has to stay so."""
        for path in paths:
            self._noted.append(_note_file(path, self.stage))

    def require_unchanged(self) -> None:
        """Check that all are as they were when they were noted.

        Raises:
            RunError: one is not.
        """
        for noted in self._noted:
            noted.require_unchanged()


def _note_file(path: Path, stage: str) -> NotedInput:
    def identify() -> str:
        try:
            return file_digest(path)
        except OSError:
            return MISSING

    status = digest_status([path])
    changed = f"{path} changed while {stage} ran; run the same command again, or `dvc repro`"
    return NotedInput(changed, lambda: [path], identify, status, identify())


def digest_status(paths: Iterable[Path]) -> str:
    """The SHA-256 of what the file system says of files: no write leaves it the same."""
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
