"""Which tasks a state is asked about, by examples worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pipeline.evaluation.reach import count_reached

SAME = [[0, 1]] * 4  # every task holds both classes
APART = [[0, 1], [2], [3, 4]]  # no class is in two tasks


def reached(classes: Sequence[Sequence[int]], last: int, *, one_ahead: bool) -> list[int]:
    """The number of tasks that each state is asked about, from state 0 on."""
    return [count_reached(state, last, classes, one_ahead=one_ahead) for state in range(last + 1)]


@pytest.mark.parametrize("classes", [SAME, APART, [[], []], [[0]]])
def test_in_a_stream_that_does_not_grow_every_state_is_asked_about_all_tasks(
    classes: list[list[int]],
) -> None:
    total = len(classes)
    assert reached(classes, total, one_ahead=False) == [total] * (total + 1)


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        # All classes are in each task: each state is asked about the task after it.
        (SAME, [4, 2, 3, 4, 4]),
        # Only all tasks together hold all classes.
        (APART, [3, 3, 3, 3]),
        # Class 1 comes with task 3: state 1 needs that too, state 2 is asked about it anyhow.
        ([[0], [0], [0, 1], [0], [1]], [5, 3, 3, 4, 5, 5]),
        # Tasks 1 and 2 hold both classes together, and no state is asked about less.
        ([[0], [1], [0], [1]], [4, 2, 3, 4, 4]),
        # Without labels nothing has to come.
        ([[], [], []], [3, 2, 3, 3]),
        # A task without labels brings no class; the ones around it do.
        ([[0], [], [1], [0, 1]], [4, 3, 3, 4, 4]),
        ([[0, 1]], [1, 1]),
    ],
)
def test_in_a_stream_that_grows_a_state_is_asked_about_the_next_task_and_as_many_as_bring_all_classes(
    classes: list[list[int]], expected: list[int]
) -> None:
    assert reached(classes, len(classes), one_ahead=True) == expected


def test_the_one_state_after_all_tasks_at_once_is_asked_about_all_of_them() -> None:
    assert reached(SAME, 1, one_ahead=True) == [4, 4]


def test_a_task_that_is_appended_changes_only_what_the_first_and_the_last_states_are_asked() -> (
    None
):
    before, after = (reached(SAME[:1] * count, count, one_ahead=True) for count in (4, 5))
    assert before == [4, 2, 3, 4, 4]
    assert after == [5, 2, 3, 4, 5, 5]
    # State 3 was asked about task 4 already; state 4 is the last no more.
    assert [state for state in range(5) if before[state] != after[state]] == [0, 4]


def test_a_class_that_is_appended_is_asked_of_every_state() -> None:
    assert reached([*SAME, [0, 2]], 5, one_ahead=True) == [5] * 6
