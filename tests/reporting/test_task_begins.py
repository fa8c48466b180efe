"""What is written where tasks begin, in the page's charts and in the plots alike."""

from __future__ import annotations

import dataclasses

import pytest

from pipeline.reporting.results import Results
from pipeline.reporting.task_begins import find_begins
from tests.reporting.test_page import make_results

pytestmark = pytest.mark.unit


def with_epochs(results: Results, *counts: int) -> Results:
    rows = [
        {"task": str(task), "epoch": str(epoch)}
        for task, count in enumerate(counts, start=1)
        for epoch in range(1, count + 1)
    ]
    return dataclasses.replace(results, epochs=rows)


def test_tasks_begin_at_their_first_epochs_with_their_names() -> None:
    begins = find_begins(with_epochs(make_results(3), 2, 2, 2), room=90)
    assert begins.epochs == [1, 3, 5]
    assert begins.names == make_results(3).name_tasks(90 // 3 - 4)
    assert begins.axis == "epochs, all tasks in a row"


def test_tasks_that_begin_close_to_each_other_are_called_by_number() -> None:
    # The shortest task has 90 / 9 characters, four of which are its number's.
    begins = find_begins(with_epochs(make_results(3), 4, 1, 4), room=90)
    assert begins.epochs == [1, 5, 6]
    assert begins.names == ["1", "2", "3"]
    assert begins.axis.endswith("(numbers: tasks)")


def test_tasks_learnt_at_once_begin_together() -> None:
    begins = find_begins(with_epochs(make_results(3, at_once=True), 6), room=5)
    assert (begins.epochs, begins.names) == ([1], ["all tasks"])
