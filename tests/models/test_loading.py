"""A module takes exactly its own tensors."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pipeline.errors import StateError
from pipeline.models.loading import load_module


def test_a_module_takes_exactly_its_own_tensors(tmp_path: Path) -> None:
    source, target = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    source(torch.randn(8, 3, generator=torch.Generator().manual_seed(0)))
    load_module(target, source.state_dict(), tmp_path)
    for name, tensor in source.state_dict().items():
        assert torch.equal(target.state_dict()[name], tensor)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"running_var": None}, "is missing"),
        ({"extra": torch.ones(3)}, "extra is unknown"),
        ({"weight": torch.ones(4)}, "size mismatch"),
        ({"weight": torch.ones(1)}, "size mismatch"),
    ],
)
def test_a_module_refuses_other_names_and_shapes(
    change: dict[str, Tensor | None], reason: str
) -> None:
    module = nn.BatchNorm1d(3)
    given = {
        name: tensor
        for name, tensor in (dict(module.state_dict()) | change).items()
        if tensor is not None
    }
    with pytest.raises(StateError, match=rf"task_1 does not fit the network.*{reason}") as caught:
        load_module(module, given, Path("task_1"))
    assert "\n" not in str(caught.value)
