"""The reservoir: a uniform sample that depends on the seed alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.strategies.memories.reservoir import Reservoir
from tests.support.memories import insert, numbers, stream
from tests.support.networks import tiny_images


def algorithm_r(size: int, total: int, draws: np.ndarray) -> list[int]:
    """Vitter's algorithm R, an image at a time."""
    held: list[int] = []
    for number in range(total):
        if number < size:
            held.append(number)
        else:
            place = int(draws[number] * (number + 1))
            if place < size:
                held[place] = number
    return held


@pytest.mark.parametrize(("size", "total"), [(5, 200), (50, 60), (7, 7), (9, 4), (1, 100)])
def test_one_pass_is_algorithm_r(size: int, total: int) -> None:
    memory = Reservoir(size)
    insert(memory, 0, total, 3)
    draws = torch.rand(total, generator=stream(3), dtype=torch.float64).numpy()
    assert numbers(memory) == algorithm_r(size, total, draws)


def test_every_image_of_the_stream_is_as_likely_to_be_held() -> None:
    """Chi-square of how often each tenth of three tasks is held, over 400 streams."""
    counts = np.zeros(10)
    for seed in range(400):
        memory = Reservoir(20)
        for task, (first, count) in enumerate([(0, 100), (100, 30), (130, 70)]):
            insert(memory, first, count, 1000 * seed + task)
        held = np.array(numbers(memory))
        assert len(set(held)) == 20
        counts += np.bincount(held // 20, minlength=10)
    expected = counts.sum() / 10
    assert expected == 800
    # Draws without replacement vary a little less: the bound (9 degrees of freedom, p = 0.999)
    # is a safe one. The task of 30 alone holding its share is part of it.
    assert ((counts - expected) ** 2 / expected).sum() < 27.9


def test_places_are_as_likely_as_one_another() -> None:
    counts = np.zeros(8)
    for seed in range(400):
        memory = Reservoir(8)
        insert(memory, 0, 80, seed)
        counts += np.array(numbers(memory)) >= 40
    # Each place holds an image of the second half with probability 1/2.
    assert ((counts - 200) ** 2 / 100).sum() < 26.1


def test_a_memory_larger_than_the_data_holds_all_of_it() -> None:
    memory = Reservoir(1000)
    insert(memory, 0, 30, 0)
    insert(memory, 30, 12, 1)
    assert numbers(memory) == list(range(42))
    assert int(memory.seen) == 42


def test_a_memory_of_nothing_holds_nothing_and_counts_on() -> None:
    memory = Reservoir(0)
    assert len(insert(memory, 0, 30, 0).places) == 0
    assert len(memory) == 0
    assert int(memory.seen) == 30


def test_the_reservoir_returns_the_places_that_changed() -> None:
    memory = Reservoir(10)
    assert insert(memory, 0, 40, 0).places.tolist() == list(range(10))
    before = numbers(memory)
    places = insert(memory, 40, 15, 1).places.tolist()
    after = numbers(memory)
    assert 0 < len(places) < 10
    assert places == [place for place in range(10) if after[place] != before[place]]
    assert all(after[place] >= 40 for place in places)


def test_the_contents_depend_on_the_generator_alone() -> None:
    memories = [Reservoir(10) for _ in range(3)]
    for memory, seed in zip(memories, (1, 1, 2), strict=True):
        torch.rand(seed)  # the global generator has no say
        insert(memory, 0, 200, seed)
    first, second, third = map(numbers, memories)
    assert first == second != third


def test_each_is_drawn_before_any_is_drawn_again() -> None:
    memory = Reservoir(6)
    insert(memory, 0, 6, 0)
    assert sorted(memory.draw_indices(6, stream(1)).tolist()) == list(range(6))
    many = memory.draw_indices(15, stream(2)).tolist()
    assert len(many) == 15
    assert sorted(many[:6]) == sorted(many[6:12]) == list(range(6))
    assert len(set(many[12:])) == 3
    assert memory.draw_indices(4, stream(3)).tolist() != memory.draw_indices(4, stream(4)).tolist()


def test_a_memory_that_was_restored_goes_on_where_it_ended() -> None:
    first, second, whole = Reservoir(16), Reservoir(16), Reservoir(16)
    insert(first, 0, 40, 1)
    carried = dict(first.state_dict())
    second.restore(carried)
    insert(second, 40, 40, 2)
    insert(whole, 0, 40, 1)
    insert(whole, 40, 40, 2)
    assert numbers(second) == numbers(whole)
    assert int(second.seen) == 80
    # What was carried is not changed by going on.
    assert torch.equal(first.images, carried["images"])


def test_images_that_come_in_minibatches_are_sampled_as_those_of_a_task() -> None:
    """Chi-square of how often each tenth of a stream is held, over 150 streams."""
    counts = np.zeros(10)
    for seed in range(150):
        memory = Reservoir(20)
        for first in range(0, 200, 20):
            insert(memory, first, 20, 1000 * seed + first)
        counts += np.bincount(np.array(numbers(memory)) // 20, minlength=10)
    assert ((counts - 300) ** 2 / 300).sum() < 27.9


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": tiny_images(15)}, "holds 15 images, expected 16"),
        ({"images": tiny_images(16).float()}, "holds 16 images"),
        ({"seen": torch.tensor(9)}, "holds 16 images, expected 9"),
    ],
)
def test_another_memory_is_refused(changes: dict[str, Tensor], message: str) -> None:
    carried = {"images": tiny_images(16), "seen": torch.tensor(50)}
    with pytest.raises(ValueError, match=message):
        Reservoir(16).restore(carried | changes)
