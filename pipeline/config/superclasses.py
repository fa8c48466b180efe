"""Which classes stay together: a CSV file of superclasses and their classes."""

from __future__ import annotations

import csv
from pathlib import Path

from pipeline import layout
from pipeline.data.names import normalize_name
from pipeline.errors import ParamsError, explain_unreadable, shorten
from pipeline.files.csv_tables import read_csv

COLUMNS = ("superclass", "class")


def read_superclasses(given: str) -> tuple[tuple[str, ...], ...]:
    """Return the names of the classes of each superclass, as a file lists them.

    It has the columns ``superclass`` and ``class``, and a row for each class.

    Args:
        given: the file as ``stream.superclasses`` names it; one that comes with the project is
            found from everywhere.

    Raises:
        ParamsError: it is not there, or is no such file.
    """
    path = layout.find_shipped(given)
    what = f"stream.superclasses: {shorten(given)}"
    header = f"a CSV file with the columns {','.join(COLUMNS)} and a row for each class"
    if not Path(path).is_file():
        raise ParamsError(f"{what} is not there; name {header}")
    try:
        rows = read_csv(path)
    except PermissionError as error:
        raise ParamsError(f"stream.superclasses: {explain_unreadable(path, error)}") from error
    except (OSError, ValueError, csv.Error) as error:
        raise ParamsError(f"{what} cannot be read ({error}); name {header}") from error
    found: dict[str, list[str]] = {}
    for number, row in enumerate(rows, start=2):
        if tuple(row) != COLUMNS or not all(row.values()):
            raise ParamsError(f"{what}, line {number}: got {shorten(dict(row))}; name {header}")
        found.setdefault(row["superclass"], []).append(normalize_name(row["class"]))
    if not found:
        raise ParamsError(f"{what} has no row; name {header}")
    return tuple(tuple(classes) for classes in found.values())
