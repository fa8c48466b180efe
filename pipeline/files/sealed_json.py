"""JSON files with a seal: the SHA-256 of their other keys."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pipeline.errors import PipelineError, explain_unreadable
from pipeline.files.atomic import is_special, read_content, write_text

JsonValue = str | int | float | bool | None | Sequence["JsonValue"] | Mapping[str, "JsonValue"]


Json = dict[str, JsonValue]


SEAL = "sha256"


def add_digests(digests: Iterable[str]) -> str:
    """Return the sum of digests, modulo their length: the same for any order of them.

    Args:
        digests: SHA-256 in hexadecimal digits.
    """
    return f"{sum(int(each, 16) for each in digests) % 2**256:064x}"


def dump_json(value: JsonValue) -> str:
    """Return a value's canonical JSON text: sorted keys, indent 2."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def write_json(path: Path, value: JsonValue) -> None:
    """Write a value as JSON."""
    write_text(path, dump_json(value))


def write_sealed(path: Path, value: Json | None) -> None:
    """Write an object as JSON with its seal; None as ``null``, without one."""
    write_text(path, sealed_text(value))


def sealed_text(value: Json | None) -> str:
    """Return the text that ``write_sealed`` writes."""
    return dump_json(None if value is None else seal(value))


def read_sealed(path: Path, error: type[PipelineError], remedy: str) -> Json | None:
    """Return the object in a sealed JSON file, without its seal; None for ``null``.

    Args:
        path: the file.
        error: the type of error to raise.
        remedy: the command that makes the file, for the message.

    Raises:
        PipelineError: of type ``error``: the file is missing, damaged, or not byte for byte
            as ``write_sealed`` writes it.
    """
    try:
        return parse_sealed(read_content(path))
    except FileNotFoundError:
        raise error(f"{path} is missing; {remedy}") from None
    except PermissionError as problem:
        raise error(explain_unreadable(path, problem)) from problem
    except (OSError, ValueError) as problem:
        raise error(f"{path} is damaged or was changed ({problem}); {remedy}") from problem


def parse_sealed(content: bytes) -> Json | None:
    """Return the object in the bytes of a sealed JSON file, without its seal; None for ``null``.

    Raises:
        ValueError: the bytes are not as ``write_sealed`` writes them.
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
    """Return an object with its seal added."""
    return {**value, SEAL: digest(value)}


def unseal(value: object) -> Json:
    """Return a sealed object without its seal.

    Raises:
        ValueError: it is not an object, has no seal, or does not match its seal.
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
    """Return the SHA-256 of a value's canonical JSON text."""
    return hashlib.sha256(dump_json(value).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes.

    Raises:
        OSError: it cannot be read, or is no regular file.
    """
    if is_special(path):
        raise OSError(f"{path} is no regular file")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
