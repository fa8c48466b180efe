"""Reading and writing files: whole or not at all, and never taken for what they are not.

What the pipeline reads back is sealed: it carries the SHA-256 of everything else in it.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from pipeline import layout
from pipeline.errors import PipelineError, RunError

JsonValue = str | int | float | bool | None | Sequence["JsonValue"] | Mapping[str, "JsonValue"]
Json = dict[str, JsonValue]

SEAL = "sha256"
_UNFINISHED = re.compile(r"\..+\.[a-z0-9_]{8}")  # as tempfile names them
_CACHED = re.compile(r"[0-9a-f]{2}/[0-9a-f]{30}")  # as DVC's cache names files


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file beside its place, sync it, then move it there in one step.

    Raises:
        RunError: the file cannot be written (no space, no permission).
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
        temporary = None
        sync_folder(path.parent)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder outlast a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def unfinished(folder: Path) -> list[Path]:
    """Return what ``write_bytes`` left of files in a folder when it was killed."""
    return [path for path in sorted(folder.glob(".*")) if _UNFINISHED.fullmatch(path.name)]


def remove_unfinished(path: Path) -> None:
    """Remove what was left of a file, or of any file of a folder; nobody may be writing it."""
    for left in unfinished(path if path.is_dir() else path.parent):
        if path.is_dir() or left.name.startswith(f".{path.name}."):
            left.unlink(missing_ok=True)


def read_content(path: Path) -> bytes:
    """Return the bytes of what a stage has left: of a file of this project.

    DVC may link its outputs to its cache, wherever that is. Any other link that leads out of the
    project is not followed, and no pipe or device is opened.

    Raises:
        OSError: it is missing or cannot be read.
        ValueError: it is something else, or leads out of the project.
    """
    if path.is_symlink():
        target = Path(os.path.realpath(path))
        rooms = [Path(os.path.realpath(room)) for room in (Path(), layout.main_checkout())]
        cached = _CACHED.fullmatch("/".join(target.parts[-2:]))
        if not cached and not any(target.is_relative_to(room) for room in rooms):
            raise ValueError(f"it is a link out of the project, to {target}, and was not opened")
    if path.exists() and not path.is_file():
        raise ValueError("it is no file")
    return path.read_bytes()


def write_text(path: Path, content: str) -> None:
    """Write a text file as UTF-8 with Unix line ends."""
    write_bytes(path, content.encode())


def write_note(path: Path, content: str) -> None:
    """Write what is good to know and not needed: it is not synced, and may fail."""
    with suppress(OSError):
        path.write_text(content, encoding="utf-8")


def dump_json(value: JsonValue) -> str:
    """Return the one JSON text that the pipeline writes for a value."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def write_json(path: Path, value: JsonValue) -> None:
    """Write a value as JSON."""
    write_text(path, dump_json(value))


def write_sealed(path: Path, value: Json | None) -> None:
    """Write an object as JSON with its seal; None as ``null``, which needs none."""
    write_json(path, None if value is None else seal(value))


def read_sealed(path: Path, error: type[PipelineError], remedy: str) -> Json | None:
    """Return the object in a sealed JSON file, or None where it holds ``null``.

    Raises:
        PipelineError: of the kind ``error``, with ``remedy``: the file is missing, damaged, or
            not as ``write_sealed`` leaves it.
    """
    try:
        return parse_sealed(read_content(path))
    except FileNotFoundError:
        raise error(f"{path} is missing; {remedy}") from None
    except (OSError, ValueError) as problem:
        raise error(f"{path} is damaged or was changed ({problem}); {remedy}") from problem


def parse_sealed(content: bytes) -> Json | None:
    """Return the object in the bytes of a sealed JSON file, or None where they say ``null``.

    Raises:
        ValueError: they are not what ``write_sealed`` writes.
    """
    try:
        value = json.loads(content.decode())
        held = None if value is None else unseal(value)
        if content != dump_json(value).encode():
            raise ValueError("it has bytes that the pipeline does not write")
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return held


def seal(value: Json) -> Json:
    """Return an object with the SHA-256 of what it holds."""
    return {**value, SEAL: digest(value)}


def unseal(value: object) -> Json:
    """Return a sealed object without its seal.

    Raises:
        ValueError: it is no object, has no seal, or does not match it.
    """
    if not isinstance(value, dict):
        raise ValueError(f"it holds a {type(value).__name__}, expected an object")
    held = {key: item for key, item in value.items() if key != SEAL}
    if SEAL not in value:
        raise ValueError(f"it has no key '{SEAL}'")
    if value[SEAL] != digest(held):
        raise ValueError(f"it does not match its {SEAL}")
    return held


def digest(value: JsonValue) -> str:
    """Return the SHA-256 of a value's JSON text."""
    return hashlib.sha256(dump_json(value).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_csv(
    path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, str | int | float]]
) -> None:
    """Write rows as CSV; floats keep all their digits."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def read_csv(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file with a header."""
    return _rows(read_content(path))


def read_noted_csv(
    path: Path, sha256: str, error: type[PipelineError], remedy: str
) -> list[dict[str, str]]:
    """Return the rows of a CSV file whose SHA-256 was noted when it was written.

    Raises:
        PipelineError: of the kind ``error``, with ``remedy``: the file is missing or is not
            that one.
    """
    try:
        content = read_content(path)
        if hashlib.sha256(content).hexdigest() != sha256:
            raise ValueError("its SHA-256 is not the one that was noted when it was written")
        return _rows(content)
    except FileNotFoundError:
        raise error(f"{path} is missing; {remedy}") from None
    except (OSError, ValueError, csv.Error) as problem:
        raise error(f"{path} is damaged or was changed ({problem}); {remedy}") from problem


def _rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))
