"""Runs of small projects that are made once a session, for all its processes, and copied."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from pipeline import layout


def files(root: Path) -> dict[str, str]:
    """Return the SHA-256 of every file by its name, but for locks and checkpoints."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and layout.SCRATCH.name not in path.parts
    }


@dataclass(frozen=True)
class Runs:
    """A folder of runs, each under the digest of what was there when it began."""

    folder: Path

    def copy_to(self, root: Path, name: str, make: Callable[[], None]) -> None:
        """Have in a folder what ``make`` would make of it.

        Args:
            root: the folder; ``make`` depends on its files alone.
            name: what is made.
            make: makes it in ``root``; called by the first process that asks for it.
        """
        before = json.dumps([name, files(root)])
        kept = self.folder / hashlib.sha256(before.encode()).hexdigest()[:20]
        with FileLock(f"{kept}.lock"):
            if not kept.exists():
                make()
                half = kept.with_suffix(".half")
                shutil.rmtree(half, ignore_errors=True)
                shutil.copytree(root, half)
                half.rename(kept)
                return
        shutil.copytree(kept, root, dirs_exist_ok=True)
