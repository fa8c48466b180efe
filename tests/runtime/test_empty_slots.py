"""Task slots above num_tasks: null where nothing is, and never in a state's place."""

from __future__ import annotations

import pytest

from pipeline import layout
from pipeline.runtime.empty_slots import EMPTY, finish_if_empty
from tests.support.project import Project


def test_an_empty_slot_is_written_again_and_again(project: Project) -> None:
    project.set({"num_tasks": 2})
    project.must("plan")
    layout.plan("train_3").write_bytes(EMPTY)
    for _ in range(2):
        assert finish_if_empty(["train", "3", "--planned"])
        assert {path.read_bytes() for path in layout.train_outputs(3)} == {EMPTY}


@pytest.mark.parametrize("number", range(3))
def test_a_slot_above_the_number_of_tasks_never_replaces_what_was_trained(
    number: int, project: Project
) -> None:
    project.trained(1)
    path = layout.train_outputs(1)[number]
    for other in layout.train_outputs(1):
        if other != path:
            other.unlink()
    layout.plan("train_1").write_bytes(EMPTY)
    before = path.read_bytes()
    assert not finish_if_empty(["train", "1", "--planned"])
    refused = project.refuses("train", "1", "--planned")
    assert (
        f"task 1 is above num_tasks in the plan, and {path} of an earlier run is there" in refused
    )
    assert path.read_bytes() == before
    assert [other for other in layout.train_outputs(1) if other.exists()] == [path]
