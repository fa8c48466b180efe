"""SGD with momentum, torch's own."""

from __future__ import annotations

import torch

from pipeline.training.optim import MOMENTUM, ParameterGroup


class SGD(torch.optim.SGD):
    """SGD with momentum 0.9, one kernel for all parameters of a step.

    Args:
        groups: the parameters, see ``pipeline.training.optim.group_parameters``.
        lr: the learning rate.
        weight_decay: of groups that have none of their own.
    """

    def __init__(self, groups: list[ParameterGroup], *, lr: float, weight_decay: float) -> None:
        super().__init__(groups, lr=lr, momentum=MOMENTUM, weight_decay=weight_decay, fused=True)
