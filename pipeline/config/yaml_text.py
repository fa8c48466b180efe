"""Safe reading of YAML that people write: plain values, or one clear error.

A text that expands enormously through its aliases, contains itself or is nested too deeply is
refused before its values are built.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import ParamsError, shorten
from pipeline.files.atomic import is_special

if TYPE_CHECKING:
    from ruamel.yaml.nodes import Node

MAX_CHARACTERS = 200_000
MAX_VALUES = 10_000


def read_file(path: Path, what_to_name: str, where_missing: str = "") -> str:
    """Return the text of a file.

    Args:
        path: the file.
        what_to_name: what to do where it is no regular file.
        where_missing: likewise where it is missing, if that is something else.

    Raises:
        ParamsError: it is missing, no regular file, or cannot be read.
    """
    try:
        if is_special(path):
            raise ParamsError(f"{path} is no regular file; {what_to_name}")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ParamsError(f"{path} is missing; {where_missing or what_to_name}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ParamsError(f"{path} cannot be read: {error}") from error


def read_mapping(text: str, source: str) -> dict[object, object]:
    """Return the mapping in a YAML text.

    Args:
        text: YAML.
        source: the text's name in messages.

    Raises:
        ParamsError: it is not YAML, is too large, or is not a mapping.
    """
    from ruamel.yaml import YAML

    if len(text) > MAX_CHARACTERS:
        raise ParamsError(
            f"{source} has {len(text)} characters, expected at most {MAX_CHARACTERS}; "
            "is it a params file?"
        )
    try:
        yaml = YAML(typ="safe", pure=True)
        node = yaml.compose(text)
        _count(node, {})
        values = None if node is None else yaml.constructor.construct_document(node)
    # The library's constructors raise many exception types if a value does not fit its tag.
    except Exception as error:
        raise ParamsError(f"{source} is not valid YAML: {_problem(error)}") from error
    if not isinstance(values, dict):
        raise ParamsError(f"{source} must hold keys and values, got {type(values).__name__}")
    return values


def _count(node: Node | None, known: dict[int, int]) -> int:
    """Return the number of values in a node, with aliases expanded.

    Args:
        node: a node of the composed text.
        known: the counts of earlier nodes, by identity; 0 while a node is being counted.

    Raises:
        ValueError: too many values, a node that contains itself, or a text that cannot be
            written.
    """
    if node is None:
        return 0
    if id(node) in known:
        if known[id(node)] == 0:
            raise ValueError("an alias stands inside of what it stands for")
        return known[id(node)]
    known[id(node)] = 0
    if isinstance(node.value, str):
        _require_writable(node.value, node.start_mark.line + 1)
    total = 1
    for item in node.value if isinstance(node.value, list) else []:
        for child in item if isinstance(item, tuple) else (item,):
            total += _count(child, known)
    if total > MAX_VALUES:
        raise ValueError(f"it stands for more than {MAX_VALUES} values")
    known[id(node)] = total
    return total


def _require_writable(text: str, line: int) -> None:
    """Check that a text can be written as UTF-8: escapes may stand for halves of characters.

    Raises:
        ValueError: it cannot.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"line {line}: {shorten(text)} holds {text[error.start]!r}, half of a character; write "
            "the character itself"
        ) from error


def _problem(error: Exception) -> str:
    """Return a YAML error's problem and line, in one line."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, KeyError | IndexError):
        return f"a value does not fit its tag ({type(error).__name__} {error})"
    mark = getattr(error, "problem_mark", None)
    problem = " ".join(str(getattr(error, "problem", None) or error).split())
    return f"line {mark.line + 1}: {problem}" if mark is not None else problem
