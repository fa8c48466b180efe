"""Reading of a run's tables and numbers from bytes, of whichever revision."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping

from pipeline.files.sealed_json import Json
from pipeline.layout import MAX_TASKS


class NoAccuraciesError(ValueError):
    """A run of which no accuracy was measured."""


def read_object(contents: Mapping[str, bytes | None], file: str) -> Json:
    """Return the object in a file of a run.

    Raises:
        ValueError: it is missing, or it is no JSON object.
    """
    content = contents[file]
    if content is None:
        raise ValueError(f"{file} is missing")
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{file} holds a {type(value).__name__}, expected an object")
    return value


def read_numbers(contents: Mapping[str, bytes | None], file: str) -> Json:
    """Return the finite numbers and texts in a file of a run; None for what is undefined.

    Raises:
        ValueError: it is missing, or holds something else.
    """
    values = read_object(contents, file)
    for key, value in values.items():
        if isinstance(value, bool) or not (value is None or isinstance(value, str | int | float)):
            raise ValueError(f"{key} in {file} is a {type(value).__name__}, expected a number")
        if isinstance(value, int | float) and not math.isfinite(value):
            raise ValueError(f"{key} in {file} is {value}, expected a finite number")
    return values


def read_final_accuracies(content: bytes | None) -> dict[str, float]:
    """Return A in percent by probe: the mean over the tasks after the last one.

    A probe that lacks an accuracy there is left out, and all are where there is no table.

    Args:
        content: probes.csv.

    Raises:
        ValueError: a row is not right.
    """
    cells: dict[tuple[str, int], list[float | None]] = {}
    for row in csv.DictReader(io.StringIO((content or b"").decode("utf-8-sig"))):
        try:
            value = float(row["task_agnostic"]) if row["task_agnostic"] else None
            place = row["probe"], int(row["after_task"])
        except (KeyError, TypeError, ValueError):
            raise ValueError(f"probes.csv has the row {row}") from None
        if value is not None and not math.isfinite(value):
            raise ValueError(f"probes.csv holds {value}")
        cells.setdefault(place, []).append(value)
    last = max((after for _, after in cells), default=0)
    found: dict[str, float] = {}
    for (probe, after), values in cells.items():
        known = [value for value in values if value is not None]
        if after == last > 0 and len(known) == len(values):
            found[probe] = sum(known) / len(known)
    return found


def read_matrix(content: bytes | None, at_once: bool, tasks: int) -> list[list[float | None]]:
    """Return the accuracies; None for a cell that is not in the table.

    A state of which nothing was measured has no row in the table.

    Args:
        content: the table.
        at_once: whether all tasks were learnt at once.
        tasks: the number of tasks; 0: as many as the table tells of.

    Raises:
        NoAccuraciesError: it has no rows.
        ValueError: it is missing, a row is not right, or it tells of other states.
    """
    if content is None:
        raise ValueError("accuracy_matrix.csv is missing")
    cells: dict[tuple[int, int], float] = {}
    for row in csv.DictReader(io.StringIO(content.decode("utf-8-sig"))):
        try:
            value = float(row["accuracy"])
            cells[int(row["after_task"]), int(row["task"])] = value
        except (KeyError, TypeError, ValueError):
            raise ValueError(f"accuracy_matrix.csv has the row {row}") from None
        if not math.isfinite(value):
            raise ValueError(f"accuracy_matrix.csv holds {value}")
    if not cells:
        raise NoAccuraciesError("accuracy_matrix.csv has no rows")
    # The last row is of the last task, though not every state is tested on every task.
    found = max((max(place) for place in cells), default=0)
    count = tasks or found
    rows = {after for after, _ in cells}
    if not 0 < found <= count <= MAX_TASKS or any(task < 1 for _, task in cells) or min(rows) < 0:
        raise ValueError(f"accuracy_matrix.csv is no matrix: {len(cells)} accuracies")
    learnt = [0, count] if at_once and rows <= {0, count} else range(count + 1)
    return [[cells.get((after, task)) for task in range(1, count + 1)] for after in learnt]
