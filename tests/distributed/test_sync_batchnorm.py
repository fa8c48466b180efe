"""Tests of what synchronized BatchNorm hands to torch's kernels, which run on GPUs alone."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from torch import distributed, nn

from pipeline.distributed import sync_batchnorm
from pipeline.distributed.sync_batchnorm import SyncBatchNorm, synchronize_batchnorm

KERNELS = sync_batchnorm.Kernels
Given = dict[str, Any]


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[Given]:
    """What torch's function was called with, by its own names; it returns its input."""
    calls: list[Given] = []
    signature = inspect.signature(KERNELS.forward)

    def apply(*arguments: object) -> object:
        calls.append(dict(signature.bind(None, *arguments).arguments))
        return arguments[0]

    monkeypatch.setattr(KERNELS, "apply", apply)
    monkeypatch.setattr(distributed, "get_world_size", lambda: 4)
    return calls


def layer(**options: Any) -> SyncBatchNorm:
    holder = nn.Sequential(nn.BatchNorm2d(3, eps=0.25, momentum=0.5, **options))
    synchronize_batchnorm(holder)
    found = holder[0]
    assert isinstance(found, SyncBatchNorm)
    return found


def test_a_layer_that_trains_updates_its_own_statistics(given: list[Given]) -> None:
    own, x = layer(), torch.randn(2, 3, 4, 4)
    assert own._normalize_on_gpu(x) is x
    call = given[0]
    assert call["input"] is x
    assert call["weight"] is own.weight
    assert call["bias"] is own.bias
    assert call["running_mean"] is own.running_mean
    assert call["running_var"] is own.running_var
    assert (call["eps"], call["momentum"], call["world_size"]) == (0.25, 0.5, 4)
    assert own.num_batches_tracked == 1


def test_a_frozen_layer_without_statistics_has_none_to_update(given: list[Given]) -> None:
    own = layer(track_running_stats=False).eval()
    own._normalize_on_gpu(torch.randn(2, 3, 4, 4))
    assert given[0]["running_mean"] is None
    assert given[0]["running_var"] is None
    assert own.num_batches_tracked is None
