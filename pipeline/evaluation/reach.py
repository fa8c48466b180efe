"""Which tasks a state is asked about."""

from __future__ import annotations

from collections.abc import Sequence


def count_reached(
    state: int, last_state: int, classes: Sequence[Sequence[int]], *, one_ahead: bool
) -> int:
    """Return the number of tasks, from the first, that a state is asked about.

    Where a stream grows, a state is asked about the tasks it has learnt and the next one, so
    that its evaluation stays as it is when more come. But all states tell the same classes apart,
    else their accuracies could not be compared: a state is asked about as many more tasks as bring
    all classes. State 0, the random network and the last state are asked about all tasks.

    Args:
        state: its number; 0 or less: it has learnt no task.
        last_state: the number of the run's last state.
        classes: the labels of each task's images.
        one_ahead: whether the stream grows; else every state is asked about all tasks.
    """
    total = len(classes)
    if not one_ahead or state <= 0 or state == last_state:
        return total
    everything = {label for labels in classes for label in labels}
    reached = min(state + 1, total)
    while {label for labels in classes[:reached] for label in labels} != everything:
        reached += 1
    return reached
