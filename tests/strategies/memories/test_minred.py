"""MinRed: images whose features are far from one another."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.strategies.memories import minred
from pipeline.strategies.memories.minred import MinRed, find_redundant
from tests.support.memories import number_of, numbered, numbers, stream


def at_angles(images: Tensor) -> Tensor:
    """Features on a circle, at the image's number in degrees; their lengths differ."""
    angles = torch.tensor(number_of(images)) * math.pi / 180
    return torch.stack([angles.cos(), angles.sin()], dim=1) * (1 + angles[:, None])


def offer(memory: MinRed, *angles: int) -> None:
    images = torch.cat([numbered(angle, 1) for angle in angles])
    memory.insert(images, stream(0), at_angles)


def drop_by_hand(features: np.ndarray, count: int) -> list[int]:
    """Drop one of the closest pair, again and again; all pairs are looked at each time."""
    left, dropped = list(range(len(features))), []
    for _ in range(count):
        pairs = [(i, j) for i in left for j in left if i < j]
        distances = [1 - float(features[i] @ features[j]) for i, j in pairs]
        row = pairs[int(np.argmin(distances))][0] if pairs else left[0]
        left.remove(row)
        dropped.append(row)
    return dropped


@pytest.mark.parametrize(("rows", "count"), [(2, 1), (7, 3), (12, 12), (20, 5), (1, 1), (5, 0)])
def test_rows_are_dropped_as_by_hand(rows: int, count: int) -> None:
    features = torch.randn(rows, 4, generator=stream(rows), dtype=torch.float64)
    features /= features.norm(dim=1, keepdim=True)
    assert find_redundant(features.clone(), count).tolist() == drop_by_hand(features.numpy(), count)


def test_one_of_the_closest_pair_leaves_and_of_old_and_new_the_old() -> None:
    memory = MinRed(3)
    offer(memory, 0, 90, 180)
    offer(memory, 100)  # nearest to 90
    assert numbers(memory) == [0, 100, 180]
    offer(memory, 270)  # pairs of 90 degrees and one of 80: 100 and 180
    assert sorted(numbers(memory)) == [0, 180, 270]


def test_a_stream_of_like_images_leaves_one_of_them() -> None:
    memory = MinRed(4)
    offer(memory, 0, 90, 180, 270)
    for step in range(5):
        offer(memory, *range(91 + 4 * step, 95 + 4 * step))
    held = numbers(memory)
    assert {0, 180, 270} < set(held)
    assert sum(90 <= angle < 120 for angle in held) == 1


def test_the_features_lie_beside_their_images_and_have_length_1() -> None:
    memory = MinRed(5)
    offer(memory, *range(0, 180, 20))
    offer(memory, 300, 200, 350, 7)
    expected = at_angles(memory.images)
    torch.testing.assert_close(memory.features, expected / expected.norm(dim=1, keepdim=True))
    assert int(memory.seen) == 13


def test_features_move_halfway_when_their_images_are_replayed() -> None:
    memory = MinRed(2)
    offer(memory, 0, 90)
    memory.refresh(torch.tensor([1]), torch.tensor([[5.0, 0.0]]))
    # Halfway from (0, 1) to (1, 0), scaled to length 1.
    torch.testing.assert_close(memory.features, torch.tensor([[1.0, 0.0], [0.5**0.5, 0.5**0.5]]))


def test_which_images_are_new_is_the_same_in_one_chunk_and_in_several(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(minred, "CHUNK", 4)
    memory = MinRed(6)
    offer(memory, *range(0, 60, 10))
    before = numbers(memory)
    offered = torch.cat([numbered(angle, 1) for angle in range(5, 355, 35)])
    inserted = memory.insert(offered, stream(0), at_angles)
    assert number_of(memory.images[inserted.places]) == number_of(offered[inserted.sources])
    after = numbers(memory)
    stayed = [place for place in range(6) if place not in inserted.places.tolist()]
    assert [before[place] for place in stayed] == [after[place] for place in stayed]
    assert len(set(after)) == 6


def test_a_memory_of_nothing_holds_nothing() -> None:
    memory = MinRed(0)
    offer(memory, 0, 10)
    assert (len(memory), len(memory.features), int(memory.seen)) == (0, 0, 2)


def test_a_restored_memory_goes_on_and_another_is_refused() -> None:
    first, second = MinRed(3), MinRed(3)
    offer(first, 0, 90, 180)
    carried = dict(first.state_dict())
    second.restore(carried)
    offer(second, 100)
    assert numbers(second) == [0, 100, 180]
    assert numbers(first) == [0, 90, 180]
    with pytest.raises(ValueError, match=r"features are \(2, 2\), expected a row for each of 3"):
        MinRed(3).restore(carried | {"features": carried["features"][:2]})
