"""Consolidation: the tasks told apart by the features of their images, computed by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pipeline.evaluation.consolidation import tell_tasks_apart
from pipeline.evaluation.examples import Examples
from pipeline.evaluation.knn import KNearestNeighbours
from tests.support.probes import StubProbe

EAST, NORTH, WEST = [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]


def examples(features: list[list[float]], tasks: list[int], *, shared: bool = False) -> Examples:
    """Features with labels that say nothing of the tasks."""
    numbers = torch.tensor(tasks)
    return Examples(torch.tensor(features), torch.zeros_like(numbers), numbers, shared)


def told(train: Examples, test: Examples, k: int = 1) -> dict[int, float]:
    neighbours = KNearestNeighbours(k=k, temperature=0.07)
    return tell_tasks_apart(neighbours, train, test, torch.Generator())


def test_each_task_has_the_share_of_its_images_that_are_told_to_be_of_it() -> None:
    train = examples([EAST, NORTH, WEST], [1, 2, 5])
    test = examples([EAST, EAST, NORTH, WEST, EAST, WEST], [1, 1, 1, 1, 2, 5])
    # Of task 1 two of four lie at east, of task 2 none lies at north, of task 5 all at west.
    assert told(train, test) == {1: 50.0, 2: 0.0, 5: 100.0}


def test_the_neighbours_vote_and_labels_of_classes_play_no_part() -> None:
    train = examples([EAST, [0.9, 0.1], [0.8, 0.2], WEST], [2, 1, 1, 2])
    test = examples([EAST, EAST], [1, 2])
    assert told(train, test) == {1: 0.0, 2: 100.0}
    assert told(train, test, k=3) == {1: 100.0, 2: 0.0}


def test_features_that_are_all_alike_tell_nothing() -> None:
    train = examples([EAST] * 4, [1, 1, 2, 2])
    assert sum(told(train, examples([EAST] * 6, [1, 1, 1, 2, 2, 2]), k=4).values()) == 100.0


def test_where_test_images_are_of_no_task_every_other_training_image_is_asked() -> None:
    # Learnt: places 0, 2, 4, 6; asked: 1, 3, 5, 7.
    train = examples([EAST, EAST, EAST, NORTH, NORTH, NORTH, NORTH, NORTH], [1] * 4 + [2] * 4)
    test = examples([WEST, WEST], [1, 1], shared=True)
    assert told(train, test) == {1: 50.0, 2: 100.0}


@pytest.mark.parametrize("tasks", [[1, 1], [3, 3]])
def test_one_task_is_apart_from_nothing(tasks: list[int]) -> None:
    train = examples([EAST, NORTH], tasks)
    assert told(train, train) == {}


def test_a_probe_sees_the_tasks_as_its_classes() -> None:
    neighbours = KNearestNeighbours(k=1, temperature=0.07)

    def answer(train: Tensor, labels: Tensor, test: Tensor, num_classes: int) -> Tensor:
        assert labels.tolist() == [0, 1, 1, 2]
        assert num_classes == 3
        return neighbours.scores(train, labels, test, num_classes, torch.Generator())

    train = examples([EAST, NORTH, NORTH, WEST], [2, 4, 4, 9])
    noting = StubProbe(answer)
    assert tell_tasks_apart(noting, train, train, torch.Generator()) == {2: 100, 4: 100, 9: 100}
