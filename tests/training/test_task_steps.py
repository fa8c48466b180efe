"""The steps of a task: phases, epochs, minibatches and budgets."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pipeline.data.batches import MinibatchOrder
from pipeline.errors import RunError
from pipeline.methods.base import Position
from pipeline.training.task_steps import TaskSteps, spend_budget

pytestmark = pytest.mark.unit


def test_a_task_of_one_phase_is_located_by_its_steps_alone() -> None:
    steps = TaskSteps([12], 4)
    assert [steps.locate(step) for step in (0, 5, 12)] == [
        Position(step, 4, 12) for step in (0, 5, 12)
    ]
    assert [step for step in range(1, 13) if steps.ends_epoch(step)] == [4, 8, 12]
    assert (steps.total, steps.epochs) == (12, 3)


def test_schedules_begin_anew_in_each_phase() -> None:
    steps = TaskSteps([6, 4], 2)
    at = [steps.locate(step) for step in (5, 6, 10)]
    assert [(each.phase, each.epoch, each.progress) for each in at] == [
        (0, 2, 5 / 6),
        (1, 0, 0.0),
        (1, 2, 1.0),
    ]
    assert at[1].stream == (6,)  # no two steps of a task draw the same numbers


def test_a_last_epoch_that_is_not_full_ends_with_the_task() -> None:
    steps = TaskSteps([7], 3)
    assert [step for step in range(1, 8) if steps.ends_epoch(step)] == [3, 6, 7]
    assert [steps.number_epoch(step) for step in (1, 3, 4, 7)] == [1, 1, 2, 3]
    assert steps.epochs == 3


def test_no_schedule_moves_in_an_online_stream() -> None:
    steps = TaskSteps([9], 2, minibatches=3)
    assert {(at.progress, at.epoch) for at in map(steps.locate, range(10))} == {(0.0, 0)}
    assert [step for step in range(1, 10) if steps.locate(step).minibatch_ends] == [3, 6, 9]


@pytest.mark.parametrize("steps", [5, 7, 10, 11])
def test_each_minibatch_comes_once_and_steps_are_spread_over_all(steps: int) -> None:
    order = MinibatchOrder(11, 2, steps, seed=0, task=1)
    batches = [tuple(batch) for batch in order]
    seen = list(dict.fromkeys(batches))
    assert len(batches) == len(order) == steps
    assert len(seen) == 5
    assert len({image for batch in seen for image in batch}) == 10
    # The same one only in a row, and each as often as another, or once more.
    assert [
        batch for before, batch in zip([(), *batches], batches, strict=False) if batch != before
    ] == seen
    often = [batches.count(batch) for batch in seen]
    assert max(often) - min(often) <= 1
    ends = [TaskSteps([steps], 2, 5).locate(step).minibatch_ends for step in range(1, steps + 1)]
    assert ends == [now != after for now, after in zip(batches, [*batches[1:], ()], strict=True)]
    order.start = 3
    assert [tuple(batch) for batch in order] == batches[3:]


def test_images_of_a_blurred_task_come_in_the_order_of_the_stream() -> None:
    order = MinibatchOrder(6, 2, 6, seed=0, task=1, ordered=True)
    assert list(order) == [[0, 1], [0, 1], [2, 3], [2, 3], [4, 5], [4, 5]]


def test_two_processes_share_each_minibatch() -> None:
    alone = list(MinibatchOrder(11, 4, 6, seed=0, task=1))
    shares = [list(MinibatchOrder(11, 4, 6, 0, 1, rank, 2)) for rank in (0, 1)]
    assert [first + second for first, second in zip(*shares, strict=True)] == alone


@pytest.mark.parametrize(
    ("phases", "budget", "expected"),
    [([3], 1000, [50]), ([3], 80, [4]), ([2, 1], 600, [20, 10]), ([2, 1], 500, [17, 8])],
)
def test_a_budget_is_spent_in_the_shares_of_the_phases(
    phases: Sequence[int], budget: int, expected: list[int]
) -> None:
    assert spend_budget(phases, 4, budget, 20, 1) == expected
    assert sum(expected) == budget // 20


def test_a_budget_below_one_epoch_is_an_error() -> None:
    with pytest.raises(RunError, match=r"train.budget must be at least 80 for task 2: .* got 79"):
        spend_budget([3], 4, 79, 20, 2)
    with pytest.raises(RunError, match=r"at least 160 .* once in every phase"):
        spend_budget([1, 1], 4, 159, 20, 2)


@pytest.mark.parametrize("phases", [[3, 1], [100, 1], [2, 3, 7]])
@pytest.mark.parametrize("per_epoch", [1, 3])
def test_the_least_budget_sees_each_image_in_the_shortest_phase(
    phases: list[int], per_epoch: int
) -> None:
    least = -(-per_epoch * sum(phases) // min(phases))
    with pytest.raises(RunError, match=rf"at least {20 * least} .* once in every phase"):
        spend_budget(phases, per_epoch, 20 * least - 1, 20, 2)
    for more in range(30):
        assert min(spend_budget(phases, per_epoch, 20 * (least + more), 20, 2)) >= per_epoch
