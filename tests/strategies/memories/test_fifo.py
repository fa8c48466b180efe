"""The queue: exactly the last images."""

from __future__ import annotations

from collections import deque

import pytest
import torch

from pipeline.strategies.memories.fifo import Fifo
from tests.support.memories import insert, number_of, numbered, numbers


@pytest.mark.parametrize("size", [0, 1, 5, 7, 30])
def test_fifo_holds_exactly_the_last_n(size: int) -> None:
    memory, expected = Fifo(size), deque[int](maxlen=size)
    first = 0
    for count in (3, 1, 6, 0, 12, 5, 2):
        insert(memory, first, count)
        expected.extend(range(first, first + count))
        first += count
        assert sorted(numbers(memory)) == list(expected)
        assert int(memory.seen) == first


def test_an_image_keeps_its_place_until_it_leaves() -> None:
    memory = Fifo(5)
    insert(memory, 0, 5)
    before = numbers(memory)
    insert(memory, 5, 2)
    assert [a == b for a, b in zip(before, numbers(memory), strict=True)].count(False) == 2
    assert set(before) - set(numbers(memory)) == {0, 1}


@pytest.mark.parametrize("count", [2, 5, 9])
def test_fifo_returns_which_image_lies_where(count: int) -> None:
    memory = Fifo(5)
    insert(memory, 0, 4)
    inserted = insert(memory, 100, count)
    offered = numbered(100, count)
    assert number_of(memory.images[inserted.places]) == number_of(offered[inserted.sources])
    assert len(inserted.places) == min(5, count)
    assert inserted.places.tolist() == sorted(set(inserted.places.tolist()))


def test_a_restored_queue_drops_the_oldest_next() -> None:
    first, second = Fifo(4), Fifo(4)
    insert(first, 0, 6)
    second.restore(first.state_dict())
    insert(second, 6, 1)
    assert sorted(numbers(second)) == [3, 4, 5, 6]
    assert sorted(numbers(first)) == [2, 3, 4, 5]
    with pytest.raises(ValueError, match="holds 4 images, expected 3"):
        Fifo(3).restore(first.state_dict() | {"seen": torch.tensor(6)})
