"""CSV tables, written atomically and read back by their SHA-256."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from pipeline.errors import PipelineError, explain_unreadable
from pipeline.files.atomic import read_content, write_text

Cell: TypeAlias = str | int | float | None


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Cell]]) -> None:
    """Write rows as CSV; floats keep all their digits, and None is an empty cell."""
    write_text(path, csv_text(columns, rows))


def list_columns(rows: Iterable[Mapping[str, Cell]]) -> list[str]:
    """Return the columns that some rows have, in the order in which they come up."""
    return list(dict.fromkeys(name for row in rows for name in row))


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Cell]]) -> str:
    """Return rows as CSV; floats keep all their digits, and None is an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def read_csv(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file with a header."""
    return _parse_rows(read_content(path))


def read_csv_checked(
    path: Path, sha256: str, error: type[PipelineError], remedy: str
) -> list[dict[str, str]]:
    """Return the rows of a CSV file, checked against the SHA-256 recorded when it was written.

    Args:
        path: the file.
        sha256: the recorded SHA-256.
        error: the type of error to raise.
        remedy: the command that makes the file, for the message.

    Raises:
        PipelineError: of type ``error``: the file is missing, damaged or another one.
    """
    try:
        content = read_content(path)
        if hashlib.sha256(content).hexdigest() != sha256:
            raise ValueError("its SHA-256 is not the one that was noted when it was written")
        return _parse_rows(content)
    except FileNotFoundError:
        raise error(f"{path} is missing; {remedy}") from None
    except PermissionError as problem:
        raise error(explain_unreadable(path, problem)) from problem
    except (OSError, ValueError, csv.Error) as problem:
        raise error(f"{path} is damaged or was changed ({problem}); {remedy}") from problem


def _parse_rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))
