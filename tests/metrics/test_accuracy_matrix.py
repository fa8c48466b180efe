"""Metrics of the accuracy matrix, computed by hand."""

from __future__ import annotations

import pytest

from pipeline.metrics.accuracy_matrix import (
    average_accuracy,
    average_incremental_accuracy,
    average_measured,
    backward_transfer,
    best_measured,
    forgetting,
    forward_transfer,
    knowledge_gain,
    plasticity,
    stability,
)

# Rows: the random network, then after tasks 1, 2 and 3. Columns: tasks 1, 2 and 3.
MATRIX = [
    [20.0, 30.0, 10.0],
    [80.0, 40.0, 20.0],
    [70.0, 90.0, 35.0],
    [60.0, 85.0, 95.0],
]


ALL = (
    average_accuracy,
    average_incremental_accuracy,
    backward_transfer,
    forgetting,
    forward_transfer,
    knowledge_gain,
    plasticity,
    stability,
)


def test_average_accuracy_is_the_mean_of_the_last_row() -> None:
    assert average_accuracy(MATRIX) == pytest.approx((60 + 85 + 95) / 3)


def test_average_incremental_accuracy_is_the_mean_over_the_stream_of_what_was_learnt_by_then() -> (
    None
):
    # After task 1: 80. After task 2: (70 + 90) / 2. After task 3: (60 + 85 + 95) / 3.
    assert average_incremental_accuracy(MATRIX) == pytest.approx((80 + 80 + 80) / 3)
    # What is yet to be learnt does not count.
    ahead = [[99.0, 99.0, 99.0], [80.0, 99.0, 99.0], [70.0, 90.0, 99.0], MATRIX[3]]
    assert average_incremental_accuracy(ahead) == average_incremental_accuracy(MATRIX)


def test_backward_transfer_is_the_mean_change_since_a_task_was_learnt() -> None:
    # Task 1: 80 then, 60 at the end. Task 2: 90 then, 85 at the end.
    assert backward_transfer(MATRIX) == pytest.approx(((60 - 80) + (85 - 90)) / 2)
    # Later tasks may help, which forgetting does not count.
    helped = [[0.0, 0.0], [50.0, 20.0], [60.0, 70.0]]
    assert backward_transfer(helped) == 10
    assert forgetting(helped) == 0


def test_backward_transfer_does_not_count_a_best_accuracy_from_before_the_task() -> None:
    matrix = [[0.0, 0.0, 0.0], [50.0, 88.0, 0.0], [50.0, 70.0, 0.0], [50.0, 66.0, 0.0]]
    assert backward_transfer(matrix) == pytest.approx((0 + (66 - 70)) / 2)


def test_knowledge_gain_is_the_mean_gain_on_a_task_by_learning_it() -> None:
    # Task 2: 40 before, 90 after. Task 3: 35 before, 95 after.
    assert knowledge_gain(MATRIX) == pytest.approx(((90 - 40) + (95 - 35)) / 2)
    learnt = ((90 - 30) + (95 - 10)) / 2
    transfer = forward_transfer(MATRIX)
    assert transfer is not None
    assert knowledge_gain(MATRIX) == pytest.approx(learnt - transfer)


def test_forgetting_is_the_mean_fall_from_the_best_accuracy() -> None:
    # Task 1: best 80, at the end 60. Task 2: best 90, at the end 85. Task 3 does not count.
    assert forgetting(MATRIX) == pytest.approx(((80 - 60) + (90 - 85)) / 2)


def test_forward_transfer_is_the_mean_gain_over_the_random_network() -> None:
    # Task 2 after task 1: 40 against 30. Task 3 after task 2: 35 against 10.
    assert forward_transfer(MATRIX) == pytest.approx(((40 - 30) + (35 - 10)) / 2)


def test_forgetting_counts_a_best_accuracy_from_before_the_task() -> None:
    matrix = [
        [0.0, 0.0, 0.0],
        [50.0, 88.0, 0.0],
        [50.0, 70.0, 0.0],
        [50.0, 66.0, 0.0],
    ]
    # Task 2 was best, 88, after task 1.
    assert forgetting(matrix) == pytest.approx(((50 - 50) + (88 - 66)) / 2)


def test_forgetting_does_not_count_the_random_network() -> None:
    matrix = [
        [99.0, 99.0, 99.0],
        [50.0, 10.0, 10.0],
        [40.0, 60.0, 10.0],
        [30.0, 40.0, 70.0],
    ]
    assert forgetting(matrix) == pytest.approx(((50 - 30) + (60 - 40)) / 2)


def test_a_network_that_only_improves_forgets_nothing() -> None:
    matrix = [[0.0, 0.0], [50.0, 20.0], [60.0, 70.0]]
    assert forgetting(matrix) == 0


def test_forward_transfer_can_be_negative() -> None:
    matrix = [[10.0, 40.0], [50.0, 25.0], [60.0, 70.0]]
    assert forward_transfer(matrix) == pytest.approx(25 - 40)


def test_plasticity_is_the_mean_gain_of_a_task_when_it_is_learnt() -> None:
    assert plasticity(MATRIX) == pytest.approx(((80 - 20) + (90 - 30) + (95 - 10)) / 3)


def test_stability_is_the_mean_share_kept_of_the_best() -> None:
    # Task 1: 60 of 80. Task 2: 85 of 90. Task 3 has had no time to be forgotten.
    assert stability(MATRIX) == pytest.approx(100 * (60 / 80 + 85 / 90) / 2)


def test_stability_counts_a_best_accuracy_from_before_the_task_but_not_the_random_network() -> None:
    matrix = [[99.0, 99.0, 99.0], [50.0, 80.0, 0.0], [50.0, 70.0, 0.0], [50.0, 40.0, 0.0]]
    assert stability(matrix) == pytest.approx(100 * (50 / 50 + 40 / 80) / 2)


def test_a_network_that_only_improves_keeps_everything() -> None:
    assert stability([[0.0, 0.0], [50.0, 20.0], [60.0, 70.0]]) == 100


def test_where_nothing_was_learnt_nothing_can_be_kept() -> None:
    assert stability([[50.0, 0.0], [0.0, 20.0], [0.0, 70.0]]) is None


def test_tasks_learnt_at_once_have_neither_plasticity_nor_stability() -> None:
    matrix = [[10.0, 20.0], [80.0, 90.0]]
    assert average_accuracy(matrix) == 85
    for metric in ALL[1:]:
        assert metric(matrix) is None, metric.__name__


def test_one_task_has_no_forgetting_and_no_transfer() -> None:
    matrix = [[10.0], [90.0]]
    assert plasticity(matrix) == 80
    assert stability(matrix) is None
    assert average_accuracy(matrix) == 90
    assert average_incremental_accuracy(matrix) == 90
    assert backward_transfer(matrix) is None
    assert knowledge_gain(matrix) is None
    assert forgetting(matrix) is None
    assert forward_transfer(matrix) is None


@pytest.mark.parametrize(
    "matrix",
    [
        [],
        [[]],
        [[1.0]],
        [[1.0, 2.0]],
        [[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [1.0, 2.0, 3.0]],
        [[1.0, 2.0], [1.0, 2.0], [1.0]],
        [[1.0], [1.0], [1.0]],
    ],
)
def test_a_matrix_of_another_shape_is_refused(matrix: list[list[float]]) -> None:
    for metric in ALL:
        with pytest.raises(ValueError, match=r"expected T \+ 1 rows \(or 2\) of T accuracies"):
            metric(matrix)


def test_tasks_learnt_at_once_have_an_average_and_nothing_to_forget() -> None:
    matrix = [[10.0, 20.0, 30.0], [70.0, 80.0, 96.0]]
    assert average_accuracy(matrix) == 82.0
    assert forgetting(matrix) is None
    assert forward_transfer(matrix) is None


# Each state was tested on the tasks it had learnt and on the next one; task 1's images were gone
# before task 3 was learnt.
GAPPED = [
    [20.0, 30.0, 10.0, 5.0],
    [80.0, 40.0, None, None],
    [70.0, 90.0, 35.0, None],
    [None, 85.0, 95.0, 45.0],
    [None, 81.0, 91.0, 99.0],
]


def test_cells_that_were_not_measured_are_left_out_of_every_mean() -> None:
    assert average_accuracy(GAPPED) == pytest.approx((81 + 91 + 99) / 3)
    # Task 1 was not measured at the end.
    assert forgetting(GAPPED) == pytest.approx(((90 - 81) + (95 - 91)) / 2)
    assert forward_transfer(GAPPED) == pytest.approx(((40 - 30) + (35 - 10) + (45 - 5)) / 3)
    assert plasticity(GAPPED) == pytest.approx(((80 - 20) + (90 - 30) + (95 - 10) + (99 - 5)) / 4)
    rows = (80, (70 + 90) / 2, (85 + 95) / 2, (81 + 91 + 99) / 3)
    assert average_incremental_accuracy(GAPPED) == pytest.approx(sum(rows) / 4)
    assert backward_transfer(GAPPED) == pytest.approx(((81 - 90) + (91 - 95)) / 2)
    assert knowledge_gain(GAPPED) == pytest.approx(((90 - 40) + (95 - 35) + (99 - 45)) / 3)
    assert stability(GAPPED) == pytest.approx(100 * (81 / 90 + 91 / 95) / 2)


def test_a_gain_needs_the_random_network_s_accuracy_as_well() -> None:
    matrix = [[20.0, None, 10.0], *MATRIX[1:]]
    assert forward_transfer(matrix) == pytest.approx(35 - 10)
    assert plasticity(matrix) == pytest.approx(((80 - 20) + (95 - 10)) / 2)
    assert forgetting(matrix) == forgetting(MATRIX)


def test_forward_transfer_needs_the_state_before_the_task() -> None:
    matrix = [MATRIX[0], [80.0, None, 20.0], *MATRIX[2:]]
    assert forward_transfer(matrix) == pytest.approx(35 - 10)
    assert knowledge_gain(matrix) == pytest.approx(95 - 35)


def test_a_change_needs_the_accuracy_once_the_task_was_learnt() -> None:
    matrix = [*MATRIX[:2], [70.0, None, 35.0], MATRIX[3]]
    assert backward_transfer(matrix) == pytest.approx(60 - 80)
    assert knowledge_gain(matrix) == pytest.approx(95 - 35)
    assert average_incremental_accuracy(matrix) == pytest.approx((80 + 70 + 80) / 3)


def test_where_nothing_is_left_a_metric_is_undefined() -> None:
    nothing_at_the_end = [*MATRIX[:-1], [None, None, None]]
    assert average_accuracy(nothing_at_the_end) is None
    assert forgetting(nothing_at_the_end) is None
    assert stability(nothing_at_the_end) is None
    assert backward_transfer(nothing_at_the_end) is None
    assert average_incremental_accuracy(nothing_at_the_end) == pytest.approx((80 + 80) / 2)
    assert average_incremental_accuracy([MATRIX[0], *[[None] * 3] * 3]) is None
    no_random_network = [[None, None, None], *MATRIX[1:]]
    assert forward_transfer(no_random_network) is None
    assert plasticity(no_random_network) is None
    assert average_accuracy(no_random_network) == average_accuracy(MATRIX)


def test_the_last_task_alone_is_an_average_and_nothing_to_forget() -> None:
    matrix = [*MATRIX[:-1], [None, None, 95.0]]
    assert average_accuracy(matrix) == 95
    assert forgetting(matrix) is None
    assert stability(matrix) is None


def test_a_best_accuracy_of_0_counts_only_if_the_task_was_measured_at_the_end() -> None:
    assert stability([[0.0, 0.0, 0.0], [0.0, 5.0, None], [0.0, 50.0, 1.0], [None, 40.0, 9.0]]) == 80


def test_the_mean_and_the_best_of_nothing_are_undefined() -> None:
    assert average_measured([None, 3.0, 5.0]) == 4
    assert average_measured([None]) is None
    assert best_measured(GAPPED, 0) == 80
    assert best_measured([[50.0], [None]], 0) is None
