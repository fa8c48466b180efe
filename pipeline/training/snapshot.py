"""All that the next step of a training depends on, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.files.sealed_json import Json


@dataclass(frozen=True)
class Snapshot:
    """All that the next step of a task depends on.

    Attributes:
        tensors: parameters, buffers, optimiser and random generators by name.
        record: the numbers beside them.
    """

    tensors: Mapping[str, Tensor]
    record: Json


# Names of a snapshot's tensors.
NETWORK, OPTIMIZER, SUM, AUGMENT = "network", "optimizer", "sum", "augment_generator"


def section(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin with ``prefix.``, without it."""
    start = f"{prefix}."
    return {
        name.removeprefix(start): tensor
        for name, tensor in tensors.items()
        if name.startswith(start)
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, held: Mapping[str, Tensor]) -> None:
    """Give an optimiser what it held for each parameter, laid out in memory as that is.

    The layout matters: sums over the same numbers in another order are not the same bits.

    Args:
        optimizer: new, with the parameters of the one that held it.
        held: by the number of the parameter and the name, e.g. ``3.exp_avg``.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in held.items():
        number, _, name = key.partition(".")
        like = parameters[int(number)]
        if value.shape == like.shape:
            value = torch.empty_like(like, dtype=value.dtype).copy_(value)
        state.setdefault(int(number), {})[name] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
