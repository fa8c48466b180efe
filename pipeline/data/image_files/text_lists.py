"""Lists of images or classes in text files, one a line."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from pipeline.errors import DataError, shorten
from pipeline.files.atomic import is_special


def read_lines(path: Path, purpose: str) -> list[str]:
    """Return the lines of a UTF-8 text file, without the mark that some editors begin it with.

    Args:
        path: the file.
        purpose: what it is for, for the message.

    Raises:
        DataError: it is missing, no regular file, or not UTF-8.
    """
    try:
        if is_special(path):
            raise OSError("it is no regular file")
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8 (at byte {error.start}); {purpose}: save it as UTF-8"
        ) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}); {purpose}") from error


def require_inside(name: str, path: Path, line: int) -> str:
    """Return the path of an image in a list, which must lie below the data set's folder.

    Args:
        name: the path as the list has it.
        path: the list, for the message.
        line: the number of its line.

    Raises:
        DataError: it is absolute or leads out of the folder.
    """
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise DataError(
            f"{path}, line {line}: {shorten(name)} leads out of the data set's folder; name "
            "images by their paths in it"
        )
    return name
