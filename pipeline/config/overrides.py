"""Overrides of params, as ``dvc exp run -S`` takes them: ``train.epochs=10``."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.errors import ParamsError

MAX_NAME = 100  # characters of an experiment's name
AS_IT_IS = "as-it-is"  # the name of a run that overrides nothing
DIGITS = 6  # of the digest that makes a shortened name unique

# What Hydra's grammar, by which DVC reads -S, takes for a text without quotes.
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./+-]*")
_NO_TEXT = re.compile(r"null|true|false|nan|inf", re.IGNORECASE)
_NAMEABLE = re.compile(r"[A-Za-z0-9_+=,-]+(\.[A-Za-z0-9_+=,-]+)*")

Overrides = Mapping[str, object]  # values by dotted key


def flatten(values: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield each value that is no section, with its dotted key.

    Args:
        values: by section and key; a key may be dotted itself.
        prefix: of the keys.
    """
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def list_empty(values: Mapping[Any, Any], prefix: str = "") -> Iterator[str]:
    """Yield the dotted key of each section without values; arguments as of ``flatten``."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from list_empty(value, f"{prefix}{key}.") if value else [f"{prefix}{key}"]


def apply_override(params: dict[Any, Any], key: str, value: object) -> None:
    """Set one value of params, in place; sections that are missing are added.

    Args:
        params: by section and key.
        key: dotted.
        value: the new value.

    Raises:
        ParamsError: the key goes through a value that is no section.
    """
    *sections, name = key.split(".")
    at = params
    for depth, section in enumerate(sections, 1):
        at = at.setdefault(section, {})
        if not isinstance(at, dict):
            raise ParamsError(f"{'.'.join(sections[:depth])} is no section, and {key!r} is in it")
    at[name] = value


def has_key(params: Mapping[Any, Any], key: str) -> bool:
    """Return whether params have a dotted key."""
    at: object = params
    for part in key.split("."):
        if not isinstance(at, Mapping) or part not in at:
            return False
        at = at[part]
    return True


def write_override(key: str, value: object, *, known: bool = True) -> str:
    """Return the text after ``-S`` for one value.

    Args:
        key: dotted.
        value: what YAML has: a text, number, truth value, None, or a list of such.
        known: whether params.yaml has the key; else it is added.
    """
    return f"{'' if known else '++'}{key}={_write_value(value)}"


def _write_value(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list):
        return f"[{','.join(map(_write_value, value))}]"
    text = str(value)
    if _PLAIN.fullmatch(text) and not _NO_TEXT.fullmatch(text):
        return text
    # Backslashes count only before a quote, where each one is doubled.
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", text)
    ends = re.sub(r"(\\+)$", r"\1\1", escaped)
    return f"'{ends}'"


def name_experiment(overrides: Overrides) -> str:
    """Return a readable name, the same for the same overrides and for no others.

    What git forbids in a reference, or a shell would read, becomes ``-``; a digest then keeps
    the name unique, as in one that is too long.

    Args:
        overrides: values by key, in the order in which the name has them; there may be none.
    """
    if not overrides:
        return AS_IT_IS
    plain = ",".join(f"{key}={_write_value(value)}" for key, value in overrides.items())
    if _NAMEABLE.fullmatch(plain) and len(plain) <= MAX_NAME and not plain.endswith(".lock"):
        return plain
    digest = hashlib.sha256(plain.encode()).hexdigest()[:DIGITS]
    name = re.sub(r"[^A-Za-z0-9_+=,.]+|\.(?=\.|$)", "-", plain.replace("[", "").replace("]", ""))
    return f"{name[: MAX_NAME - DIGITS - 1].strip('-.')}-{digest}"
