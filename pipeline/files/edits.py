"""Changes of files that people edit too."""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import RunError
from pipeline.files.atomic import rewrite_text


def replace_text(path: Path, before: str, after: str) -> None:
    """Write a file that was read, changed and checked, unless somebody else has changed it since.

    Args:
        path: the file.
        before: its text as it was read.
        after: its new text.

    Raises:
        RunError: it holds another text now, or cannot be read or written.
    """
    try:
        same = path.read_text(encoding="utf-8") == before
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error
    if not same:
        raise RunError(
            f"{path} was changed by somebody else in the meantime, and was left so; run this again"
        )
    rewrite_text(path, after)
