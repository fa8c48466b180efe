"""Frozen dataclasses from JSON values and back, strictly.

A library would do, but the stages that train start on machines that have none installed, and
without the time that importing one takes.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from pipeline.errors import shorten
from pipeline.files.sealed_json import Json, JsonValue

T = TypeVar("T")


def as_json(value: object) -> Json:
    """Return the JSON object of a dataclass; fields that hold their default are left out."""
    assert is_dataclass(value), f"{type(value).__name__} is no dataclass"
    held = {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    defaults = {field.name: _default(field) for field in fields(value)}
    return {
        name: item
        for name, item in held.items()
        if defaults[name] is MISSING or item != _plain(defaults[name])
    }


def _plain(value: Any) -> JsonValue:
    if is_dataclass(value):
        return as_json(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    assert value is None or isinstance(value, str | int | float), f"{type(value).__name__} in JSON"
    return value


def _default(field: Field[Any]) -> object:
    return field.default if field.default_factory is MISSING else field.default_factory()


def from_json(kind: type[T], value: JsonValue) -> T:
    """Return a value of a type: a dataclass, say, from an object with its fields.

    Args:
        kind: a dataclass, ``str``, ``int``, ``float``, ``bool``, or made of such by ``Literal``,
            ``|``, ``tuple``, ``Sequence`` and ``Mapping``. Sequences become tuples.
        value: as JSON gives it.

    Raises:
        ValueError: it is of another type, or a field is missing or unknown; says which.
    """
    found: T = _convert(kind, value, "it")
    return found


def get_typed(value: JsonValue, kind: type[T], *keys: str) -> T:
    """The value under some keys of nested objects, of a type as for ``from_json``.

    Raises:
        ValueError: it is not there, or of another type; says which.
    """
    for number, key in enumerate(keys, start=1):
        where = ".".join(keys[:number])
        if not isinstance(value, Mapping) or key not in value:
            raise ValueError(f"{where} is missing")
        value = value[key]
    found: T = _convert(kind, value, ".".join(keys))
    return found


@functools.cache
def _fields(kind: type) -> tuple[tuple[Field[Any], Any], ...]:
    # A JSON value is taken as it is, and its type holds itself.
    hints = get_type_hints(kind, localns={"JsonValue": Any})
    return tuple((field, hints[field.name]) for field in fields(kind))


def _convert(kind: Any, value: Any, where: str) -> Any:
    origin, inside = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if is_dataclass(kind):
        return _construct(kind, value, where)
    if origin is Literal:
        if any(value == allowed and type(value) is type(allowed) for allowed in inside):
            return value
    elif origin in (Union, types.UnionType):
        return _convert_union(inside, value, where)
    elif origin in (tuple, Sequence) and isinstance(value, list | tuple):
        if origin is Sequence or inside[-1] is ...:
            # Splits hold many thousands of numbers.
            if all(type(item) is inside[0] for item in value):
                return tuple(value)
            kinds = inside[:1] * len(value)
        else:
            kinds = inside
        if len(kinds) == len(value):
            pairs = enumerate(zip(kinds, value, strict=True))
            return tuple(_convert(each, item, f"{where}[{n}]") for n, (each, item) in pairs)
    elif origin in (Mapping, dict) and isinstance(value, Mapping):
        return {key: _convert(inside[1], item, f"{where}.{key}") for key, item in value.items()}
    elif kind is float:
        if type(value) in (int, float):
            return value
    elif type(value) is kind:
        return value
    raise ValueError(f"{where} is {shorten(value)}, expected {_name(kind)}")


def _convert_union(kinds: Sequence[Any], value: Any, where: str) -> Any:
    in_list: ValueError | None = None
    for kind in kinds:
        try:
            return _convert(kind, value, where)
        except ValueError as error:
            # Of an optional object the object's own problem says more, and of a list its item's.
            if is_dataclass(kind) and value is not None:
                raise error
            if get_origin(kind) is Sequence and isinstance(value, list | tuple):
                in_list = in_list or error
    if in_list is not None:
        raise in_list
    raise ValueError(f"{where} is {shorten(value)}, expected {' or '.join(map(_name, kinds))}")


def _construct(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, Mapping):
        raise ValueError(f"{where} is {shorten(value)}, expected an object")
    known = _fields(kind)
    if unknown := sorted(value.keys() - {field.name for field, _ in known}):
        raise ValueError(f"{where} has the unknown key {shorten(unknown[0])}")
    held = {}
    for field, hint in known:
        place = field.name if where == "it" else f"{where}.{field.name}"
        if field.name in value:
            held[field.name] = _convert(hint, value[field.name], place)
        elif _default(field) is MISSING:
            raise ValueError(f"{place} is missing")
    return kind(**held)


def _name(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return " or ".join(repr(allowed) for allowed in get_args(kind))
    words = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
    words[types.NoneType] = "null"
    if get_origin(kind) in (tuple, Sequence):
        return "a list"
    return words.get(kind, "an object")
