"""Pure functions of the accuracy matrix; all values in percent.

``matrix[t][i]`` is the accuracy on task i + 1's test images after task t; row 0 is what the
stream starts from, the random network or a pretrained one. A matrix of T tasks has T columns and
T + 1 rows. It has 2 rows if all tasks were learnt at once: then nothing can be forgotten or
transferred.

A cell is None if it was not measured. Every mean is over the tasks whose cells were measured;
a metric is None where no task is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Matrix = Sequence[Sequence[float | None]]


def _num_tasks(matrix: Matrix) -> int:
    tasks = len(matrix[0]) if matrix else 0
    if tasks < 1 or len(matrix) not in (2, tasks + 1) or any(len(row) != tasks for row in matrix):
        shape = [len(row) for row in matrix]
        raise ValueError(f"expected T + 1 rows (or 2) of T accuracies, got rows of {shape}")
    return tasks


def average_measured(cells: Iterable[float | None]) -> float | None:
    """Return the mean of the cells that were measured; None if none was."""
    measured = [cell for cell in cells if cell is not None]
    return sum(measured) / len(measured) if measured else None


def best_measured(matrix: Matrix, task: int, first: int = 1) -> float | None:
    """Return max_{t≥first} a[t, i] over the measured cells; None if none was measured.

    Args:
        matrix: (T + 1 or 2, T), percent.
        task: the column, from 0.
        first: the first row that counts.
    """
    measured = [cell for row in matrix[first:] if (cell := row[task]) is not None]
    return max(measured, default=None)


def average_accuracy(matrix: Matrix) -> float | None:
    """Return A = (1/T) Σ_i a[T, i], the mean over the tasks after the last one.

    Over the tasks with a[T, i] measured; None if there is none.
    """
    _num_tasks(matrix)
    return average_measured(matrix[-1])


def average_incremental_accuracy(matrix: Matrix) -> float | None:
    """Return (1/T) Σ_t (1/t) Σ_{i≤t} a[t, i], the accuracy averaged over the stream.

    After each task the mean over the tasks learnt so far, and of these the mean: so a network
    that was good all along counts more than one that is good at the end alone. Source: the
    average incremental accuracy of Rebuffi et al. (2017), which others call average anytime
    accuracy; there the classifier knows the classes so far, here it is the probe, which knows
    all that the matrix's row is of.

    Over the measured cells of each row, and over the rows that have some. None if there is no
    such row, or for several tasks at once, which are no stream.
    """
    tasks = _num_tasks(matrix)
    if tasks > 1 and len(matrix) == 2:
        return None
    return average_measured(average_measured(matrix[t][:t]) for t in range(1, tasks + 1))


def backward_transfer(matrix: Matrix) -> float | None:
    """Return BWT = 1/(T-1) Σ_{i<T} (a[T, i] - a[i, i]), what later tasks gave or took.

    Below 0 where more was lost than won; the opposite of forgetting where each task was best
    once it was learnt. Source: Lopez-Paz and Ranzato, 2017.

    Over the tasks i < T with both a[T, i] and a[i, i] measured. None if there is no such task,
    for one task, or for all tasks at once.
    """
    tasks = _num_tasks(matrix)
    if tasks == 1 or len(matrix) == 2:
        return None
    return average_measured(
        _subtract(matrix[tasks][task], matrix[task + 1][task]) for task in range(tasks - 1)
    )


def forgetting(matrix: Matrix, first: int = 1) -> float | None:
    """Return F = 1/(T-1) Σ_{i<T} (max_{t≥1} a[t, i] - a[T, i]).

    Over the tasks i < T with a[T, i] measured; the maximum is over measured cells. None if
    there is no such task, for one task, or for all tasks at once.

    The maximum is over all trained states, including those before the task, because a
    self-supervised network may be good at a task that it has not seen yet.

    Args:
        matrix: (T + 1 or 2, T), percent.
        first: the first row that counts for the maximum; 0: what the stream starts from too.
    """
    tasks = _num_tasks(matrix)
    if tasks == 1 or len(matrix) == 2:
        return None
    return average_measured(
        _subtract(best_measured(matrix, task, first), matrix[tasks][task])
        for task in range(tasks - 1)
    )


def forward_transfer(matrix: Matrix) -> float | None:
    """Return FT = 1/(T-1) Σ_{i≥2} (a[i-1, i] - a[0, i]).

    The gain over row 0 on a task that has not been learnt yet.

    Over the tasks i ≥ 2 with both a[i-1, i] and a[0, i] measured. None if there is no such
    task, for one task, or for all tasks at once.
    """
    tasks = _num_tasks(matrix)
    if tasks == 1 or len(matrix) == 2:
        return None
    return average_measured(
        _subtract(matrix[task][task], matrix[0][task]) for task in range(1, tasks)
    )


def knowledge_gain(matrix: Matrix) -> float | None:
    """Return K = 1/(T-1) Σ_{i≥2} (a[i, i] - a[i-1, i]), what learning a task gives on it.

    Forward transfer and knowledge gain add up to the gain over row 0 once a task is learnt.
    Source: Zhang et al. (Osiris), 2024.

    Over the tasks i ≥ 2 with both a[i, i] and a[i-1, i] measured. None if there is no such
    task, for one task, or for all tasks at once.
    """
    tasks = _num_tasks(matrix)
    if tasks == 1 or len(matrix) == 2:
        return None
    return average_measured(
        _subtract(matrix[task + 1][task], matrix[task][task]) for task in range(1, tasks)
    )


def plasticity(matrix: Matrix) -> float | None:
    """Return (1/T) Σ_i (a[i, i] - a[0, i]), a task's gain over row 0 once learnt.

    Over the tasks with both a[i, i] and a[0, i] measured. None if there is no such task, or
    for several tasks at once, which are not learnt one by one.
    """
    tasks = _num_tasks(matrix)
    if tasks > 1 and len(matrix) == 2:
        return None
    return average_measured(
        _subtract(matrix[task + 1][task], matrix[0][task]) for task in range(tasks)
    )


def stability(matrix: Matrix) -> float | None:
    """Return 100/(T-1) Σ_{i<T} a[T, i] / max_{t≥1} a[t, i], the percentage kept of the best.

    Over the tasks i < T with a[T, i] measured; the maximum is over measured cells. None if
    there is no such task, for one task, for all tasks at once, or if the best accuracy of such
    a task is 0.
    """
    tasks = _num_tasks(matrix)
    if tasks == 1 or len(matrix) == 2:
        return None
    kept = []
    for task in range(tasks - 1):
        last, best = matrix[tasks][task], best_measured(matrix, task)
        if last is None or best is None:
            continue
        if best == 0:
            return None
        kept.append(last / best)
    return 100 * sum(kept) / len(kept) if kept else None


def _subtract(minuend: float | None, subtrahend: float | None) -> float | None:
    return None if minuend is None or subtrahend is None else minuend - subtrahend
