"""Reading and writing files: whole or not at all."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pipeline.errors import PipelineError, RunError

JsonValue = str | int | float | bool | None | Sequence["JsonValue"] | Mapping[str, "JsonValue"]
Json = dict[str, JsonValue]


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
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, content: str) -> None:
    """Write a text file as UTF-8 with Unix line ends."""
    write_bytes(path, content.encode())


def dump_json(value: JsonValue) -> str:
    """Return the one JSON text that the pipeline writes for a value."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def write_json(path: Path, value: JsonValue) -> None:
    """Write a value as JSON."""
    write_text(path, dump_json(value))


def read_json(path: Path, error: type[PipelineError], remedy: str) -> Json | None:
    """Return the object in a JSON file, or None where it holds ``null``.

    Raises:
        PipelineError: of the kind ``error``, with ``remedy``: the file is missing or holds
            no JSON object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise error(f"{path} is missing; {remedy}") from None
    except (OSError, ValueError) as problem:
        raise error(f"{path} cannot be read ({problem}); {remedy}") from problem
    if value is not None and not isinstance(value, dict):
        raise error(f"{path} holds a {type(value).__name__}, expected an object; {remedy}")
    return value


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
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
