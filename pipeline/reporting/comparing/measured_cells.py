"""Which accuracies were measured in one run and not in another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pipeline.metrics.accuracy_matrix import Matrix
from pipeline.reporting.comparing.runs import Run

MOST_NAMED = 6  # tasks of a row


def remark_on_measured(
    matrices: Mapping[str, Matrix],
    starts: Mapping[str, str],
    where: str = "",
    say_task: Callable[[int], str] = "task {}".format,
) -> list[str]:
    """Return a remark on runs that lack accuracies that others have; none if none does.

    Runs that learnt all tasks at once have no rows in between, and lack nothing there.

    Args:
        matrices: the accuracies of each run, by its name for people.
        starts: likewise, the name of row 0.
        where: of which table the remark is, beginning with a space.
        say_task: the name of a task in a sentence, by its number.
    """
    said = [
        f"{name} ({_describe(places, starts[name], say_task)})"
        for name, places in _find_lacking(matrices).items()
    ]
    if not said:
        return []
    return [
        f"Not the same accuracies were measured in all runs{where}: metrics are means over what "
        "was measured in each, and may differ for that. What a run lacks and another one has: "
        f"{'; '.join(said)}."
    ]


def measure_the_same(first: Run, other: Run) -> bool:
    """Return whether the same accuracies were measured in two runs."""
    return not _find_lacking({"first": first.matrix, "other": other.matrix})


def agree_where_measured(first: Matrix, other: Matrix) -> bool:
    """Return whether two matrices of a shape are equal where both were measured."""
    ours, theirs = _cells(first), _cells(other)
    return ours.keys() == theirs.keys() and all(
        value is None or theirs[place] is None or value == theirs[place]
        for place, value in ours.items()
    )


def _find_lacking(matrices: Mapping[str, Matrix]) -> dict[str, list[tuple[int, int]]]:
    """Return the cells that a run lacks and another one has, of each run that lacks some."""
    cells = {name: _cells(matrix) for name, matrix in matrices.items()}
    somewhere = {
        place for held in cells.values() for place, value in held.items() if value is not None
    }
    lacking = {
        name: [place for place, value in held.items() if value is None and place in somewhere]
        for name, held in cells.items()
    }
    return {name: places for name, places in lacking.items() if places}


def _cells(matrix: Matrix) -> dict[tuple[int, int], float | None]:
    """Return the accuracies by the number of tasks learnt and the task."""
    tasks = len(matrix[0])
    learnt = range(tasks + 1) if len(matrix) == tasks + 1 else (0, tasks)
    return {
        (after, task): value
        for after, row in zip(learnt, matrix, strict=True)
        for task, value in enumerate(row, start=1)
    }


def _describe(places: Sequence[tuple[int, int]], start: str, say_task: Callable[[int], str]) -> str:
    """Return cells in words, row by row."""
    rows: dict[int, list[str]] = {}
    for after, task in places:
        rows.setdefault(after, []).append(say_task(task))
    return ", ".join(
        f"{start if after == 0 else f'state after task {after}'} on {_and(tasks)}"
        for after, tasks in rows.items()
    )


def _and(names: Sequence[str]) -> str:
    """Return names as a list in words, shortened where there are many."""
    some = names if len(names) <= MOST_NAMED else [*names[:MOST_NAMED], "others"]
    return " and ".join(some)
