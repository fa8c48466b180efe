"""AdamW: Adam with decoupled weight decay (Loshchilov and Hutter, 2019), torch's own."""

from __future__ import annotations

import torch

from pipeline.training.optim import ParameterGroup


class AdamW(torch.optim.AdamW):
    """AdamW with torch's defaults, one kernel for all parameters of a step.

    Args:
        groups: the parameters, see ``pipeline.training.optim.group_parameters``.
        lr: the learning rate.
        weight_decay: of groups that have none of their own.
    """

    def __init__(self, groups: list[ParameterGroup], *, lr: float, weight_decay: float) -> None:
        super().__init__(groups, lr=lr, weight_decay=weight_decay, fused=True)
