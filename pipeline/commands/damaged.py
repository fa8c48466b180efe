"""Damaged files that DVC takes for whole ones.

DVC knows the objects of its cache by their names, and a file that it has seen by its time. So
a flipped bit is no change to it: it says that all is up to date, and puts the damage back
wherever a stage makes the file anew.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from pipeline.config.chain import read_locked_outputs
from pipeline.errors import PipelineError, RunError
from pipeline.files.sealed_json import read_sealed
from pipeline.files.tensors import read_arrays
from pipeline.runtime.empty_slots import is_empty

FOLDER = ".dir"  # ending of DVC's listing of a folder


def find_damaged() -> list[tuple[Path, str]]:
    """Find the damaged outputs that dvc.lock names, here and in DVC's cache, with what each is.

    Raises:
        RunError: dvc.lock or an output cannot be read.
    """
    # Results in reports/ are in git and not in DVC's cache.
    locked = {path: name for path, name in read_locked_outputs().items() if path.parts[0] == "data"}
    cache = _find_cache() if locked else None
    found = []
    for path, name in _list_files(locked, cache):
        damaged = _is_damaged(path)
        stored = None if cache is None else cache / name[:2] / name[2:]
        if stored is not None and stored.is_file() and _md5(stored) != name.removesuffix(FOLDER):
            # Some kinds of files do not tell by themselves.
            damaged = damaged or (path.is_file() and _md5(path) == _md5(stored))
            found.append((stored, f"damaged, in DVC's cache: {path}"))
        if damaged:
            found.append((path, "damaged"))
    return found


def _list_files(locked: dict[Path, str], cache: Path | None) -> Iterator[tuple[Path, str]]:
    """Yield each output with the name of its object, and each file of a folder likewise."""
    for path, name in locked.items():
        yield path, name
        if name.endswith(FOLDER) and cache is not None:
            try:
                listed = json.loads((cache / name[:2] / name[2:]).read_bytes())
                yield from [(path / each["relpath"], str(each["md5"])) for each in listed]
            except (OSError, ValueError, KeyError, TypeError):
                continue


def _find_cache() -> Path | None:
    """The folder of DVC's objects; None where there is no DVC."""
    command = [sys.executable, "-m", "dvc", "cache", "dir"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return Path(done.stdout.strip()) / "files" / "md5" if done.returncode == 0 else None


def _is_damaged(path: Path) -> bool:
    """Whether a file says of itself that it is damaged.

    Raises:
        RunError: it cannot be read, so that nobody knows.
    """
    if not path.is_file():
        return False
    try:
        path.open("rb").close()
    except OSError as error:
        raise RunError(
            f"{path} cannot be read ({error.strerror or error}); mend that, and run this again"
        ) from error
    try:
        if path.suffix == ".safetensors" and not is_empty(path):
            read_arrays(path, RunError, "")
        elif path.suffix == ".json":
            read_sealed(path, RunError, "")
    except PipelineError:
        return True
    return False


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
