"""One-line messages for problems in params.yaml."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pipeline.config.params import PARAMS_MODEL
from pipeline.config.user_paths import PATH_ERROR
from pipeline.errors import closest, shorten

MAX_PROBLEMS = 20  # listed in one message


def explain_problems(
    error: ValidationError, values: object, model: type[BaseModel] = PARAMS_MODEL
) -> list[str]:
    """Return one line for each of a file's problems, up to ``MAX_PROBLEMS``.

    Args:
        error: pydantic's.
        values: what the file holds.
        model: what the file was validated by.
    """
    details = drop_echoes(error.errors())
    problems = [explain_problem(detail, values, model) for detail in details[:MAX_PROBLEMS]]
    if len(details) > MAX_PROBLEMS:
        problems.append(f"{len(details) - MAX_PROBLEMS} more problems")
    return problems


def drop_echoes(details: list[ErrorDetails]) -> list[ErrorDetails]:
    """Drop errors of missing keys that an unknown key in the same section misspells."""
    unknown = [d["loc"] for d in details if d["type"] == "extra_forbidden"][:MAX_PROBLEMS]

    def misspelt(location: tuple[int | str, ...]) -> bool:
        beside = [str(other[-1]) for other in unknown if other[:-1] == location[:-1]]
        return bool(difflib.get_close_matches(str(location[-1]), beside, n=1))

    return [d for d in details if d["type"] != "missing" or not misspelt(d["loc"])]


def explain_problem(
    detail: ErrorDetails, values: object, model: type[BaseModel] = PARAMS_MODEL
) -> str:
    """Return the message for one of pydantic's errors, in one line; arguments as above."""
    parts = list_keys(detail["loc"], values)
    if detail["type"] == "missing":
        parts.append(detail["loc"][-1])
    where = ".".join(str(part) for part in parts)
    kind = detail["type"]
    if kind == "extra_forbidden":
        section = ".".join(str(part) for part in detail["loc"][:-1])
        allowed = _keys_of(detail["loc"][:-1], model)
        place = f" in {section}" if section else ""
        return (
            f"{shorten(detail['loc'][-1])}{place} is unknown; "
            f"{closest(str(detail['loc'][-1])[:80], allowed)}"
        )
    if kind == "missing":
        return f"{where} is missing; add it, every param must be given"
    if kind == "value_error":
        reason = str(detail["ctx"]["error"])
        # A key's own check names the key, as its section's does.
        named = bool(parts) and reason.startswith(f"{parts[-1]} ")
        return ".".join([str(part) for part in (parts[:-1] if named else parts)] + [reason])
    if kind == PATH_ERROR:
        return f"{where}: {detail['msg']}"
    message = detail["msg"][0].lower() + detail["msg"][1:]
    return f"{where or 'keys'}: {message}, got {shorten(detail['input'])}"


def list_keys(location: tuple[int | str, ...], values: object) -> list[int | str]:
    """Return the keys and places in a location; pydantic names kinds of values in it too.

    Args:
        location: of a problem.
        values: what the file holds.
    """
    found: list[int | str] = []
    at: Any = values
    for part in location:
        if part in _list_places(at):
            at = at[part]
            found.append(part)
    return found


def _list_places(value: object) -> Collection[Any]:
    """The keys of a section, or the places in a list."""
    if isinstance(value, list):
        return range(len(value))
    return value if isinstance(value, dict) else ()


def _keys_of(location: tuple[int | str, ...], model: type[BaseModel]) -> list[str]:
    """Return the allowed keys of the section of a model at ``location``."""
    for part in location:
        annotation = model.model_fields[str(part)].annotation
        candidates = [annotation, *getattr(annotation, "__args__", ())]
        model = next(c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel))
    return [field.alias or name for name, field in model.model_fields.items()]
