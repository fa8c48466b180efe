"""Pure functions of the accuracy matrix; all values in percent.

``matrix[t][i]`` is the accuracy on task i + 1's test images after task t; row 0 is the
random network. A matrix of T tasks has T columns and T + 1 rows. It has 2 rows if all tasks
were learnt at once: then nothing can be forgotten or transferred.
"""

from __future__ import annotations

from collections.abc import Sequence

Matrix = Sequence[Sequence[float]]


def _num_tasks(matrix: Matrix) -> int:
    tasks = len(matrix[0]) if matrix else 0
    if tasks < 1 or len(matrix) not in (2, tasks + 1) or any(len(row) != tasks for row in matrix):
        shape = [len(row) for row in matrix]
        raise ValueError(f"expected T + 1 rows (or 2) of T accuracies, got rows of {shape}")
    return tasks


def average_accuracy(matrix: Matrix) -> float:
    """Return A = (1/T) Σ_i a[T, i], the mean over the tasks after the last one."""
    tasks = _num_tasks(matrix)
    return sum(matrix[-1]) / tasks


def forgetting(matrix: Matrix) -> float | None:
    """Return F = 1/(T-1) Σ_{i<T} (max_{t≥1} a[t, i] - a[T, i]).

    None for one task, or for all tasks at once.

    The maximum is over all trained states, including those before the task, because a
    self-supervised network may be good at a task that it has not seen yet.
    """
    tasks = _num_tasks(matrix)
    if tasks == 1 or len(matrix) == 2:
        return None
    lost = [
        max(matrix[after][task] for after in range(1, tasks + 1)) - matrix[tasks][task]
        for task in range(tasks - 1)
    ]
    return sum(lost) / len(lost)


def forward_transfer(matrix: Matrix) -> float | None:
    """Return FT = 1/(T-1) Σ_{i≥2} (a[i-1, i] - a[0, i]).

    The gain over a random network on a task that has not been learnt yet.

    None for one task, or for all tasks at once.
    """
    tasks = _num_tasks(matrix)
    if tasks == 1 or len(matrix) == 2:
        return None
    gained = [matrix[task][task] - matrix[0][task] for task in range(1, tasks)]
    return sum(gained) / len(gained)


def plasticity(matrix: Matrix) -> float | None:
    """Return (1/T) Σ_i (a[i, i] - a[0, i]), a task's gain over a random network once learnt.

    None for several tasks at once, which are not learnt one by one.
    """
    tasks = _num_tasks(matrix)
    if tasks > 1 and len(matrix) == 2:
        return None
    gained = [matrix[task + 1][task] - matrix[0][task] for task in range(tasks)]
    return sum(gained) / len(gained)


def stability(matrix: Matrix) -> float | None:
    """Return 100/(T-1) Σ_{i<T} a[T, i] / max_{t≥1} a[t, i], the percentage kept of the best.

    None for one task, for all tasks at once, or if a task's best accuracy is 0.
    """
    tasks = _num_tasks(matrix)
    if tasks == 1 or len(matrix) == 2:
        return None
    best = [max(row[task] for row in matrix[1:]) for task in range(tasks - 1)]
    if not all(best):
        return None
    kept = [matrix[tasks][task] / best[task] for task in range(tasks - 1)]
    return 100 * sum(kept) / len(kept)
