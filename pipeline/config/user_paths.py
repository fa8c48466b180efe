"""Paths in params.yaml, as people write them and as everything else sees them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

PATH_ERROR = "path_error"  # pydantic's type of the errors here


def expand_home(path: str) -> str:
    """Return a path with the home folder in place of a leading ``~``."""
    try:
        return str(Path(path).expanduser()) if path.startswith("~") else path
    except RuntimeError:  # no user of that name
        return path


def require_slashes(path: str) -> str:
    """Return a path whose folders are divided by ``/``.

    Raises:
        PydanticCustomError: it has backslashes, and there is no file of that name.
    """
    if "\\" in path and path.isprintable() and not Path(path).exists():
        slashed = path.replace("\\", "/")
        raise _refuse(f"'{path}' is not there; write '{slashed}', with / between folders")
    return path


def require_root(path: str) -> str:
    """Return ``data.root``, which DVC reads too.

    Raises:
        PydanticCustomError: it begins with ``~``, which DVC takes for the name of a folder, it
            cannot be printed, or as ``require_slashes``.
    """
    if not path.isprintable():
        raise _refuse(f"must be the path of a folder, got {path!r}")
    if (expanded := expand_home(path)) != path:
        raise _refuse(f"'{path}' begins with ~, which DVC does not expand; write '{expanded}'")
    return require_slashes(path)


def _refuse(reason: str) -> PydanticCustomError:
    return PydanticCustomError(PATH_ERROR, "{reason}", {"reason": reason})


SomePath = Annotated[str, Field(min_length=1)]
FolderPath = Annotated[SomePath, AfterValidator(expand_home)]
UserPath = Annotated[FolderPath, AfterValidator(require_slashes)]
RootPath = Annotated[SomePath, AfterValidator(require_root)]
