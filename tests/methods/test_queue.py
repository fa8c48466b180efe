"""Tests of the queue's pointer, which is read from its device only where it has to be."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from pipeline.methods.queue import HostCount


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The values that were read from a tensor so far."""
    found: list[int] = []
    read = Tensor.__int__

    def noted(tensor: Tensor) -> int:
        found.append(read(tensor))
        return found[-1]

    monkeypatch.setattr(Tensor, "__int__", noted)
    return found


def test_a_count_that_nobody_else_writes_is_read_once(reads: list[int]) -> None:
    buffer, reader = torch.tensor(3), HostCount()
    assert reader.read(buffer) == 3
    for value in (4, 9, 0):
        reader.write(buffer, value)
        assert reader.read(buffer) == value
        assert buffer.tolist() == value
    assert reads == [3]


def test_a_count_that_was_restored_copied_or_moved_is_read_again(reads: list[int]) -> None:
    holder, reader = nn.Module(), HostCount()
    holder.register_buffer("count", torch.tensor(3))
    reader.write(holder.count, 5)
    holder.load_state_dict({"count": torch.tensor(8)})
    assert reader.read(holder.count) == 8
    copied, copied_reader = copy.deepcopy((holder, reader))
    with torch.no_grad():
        copied.count.copy_(torch.tensor(2))
    assert copied_reader.read(copied.count) == 2
    assert reader.read(holder.count) == 8
    assert reader.read(holder.count.clone() + 1) == 9
    assert reads == [8, 2, 9]
