"""The optimizer of a task and the groups of parameters that it moves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from pipeline.models.backbone import Backbone
from pipeline.training.schedule import warmup_cosine
from pipeline.training.task_steps import TaskSteps

MOMENTUM = 0.9  # of sgd and lars

ParameterGroup = dict[str, Any]


class OptimizerFactory(Protocol):
    """An optimizer's class, its own options bound; see ``pipeline/training/optimizers``."""

    def __call__(
        self, groups: list[ParameterGroup], *, lr: float, weight_decay: float
    ) -> torch.optim.Optimizer:
        """Return the optimizer of some groups of parameters."""


@dataclass(frozen=True)
class Optimization:
    """The optimizer and the learning-rate schedule of a task, which starts anew in each task.

    Attributes:
        optimizer: makes the optimizer.
        learning_rate: the peak, reached when the warm-up ends.
        weight_decay: of the weight matrices and kernels.
        exclude_norms_and_biases: whether biases, the parameters of norms and those of
            ``Backbone.parameters_without_decay`` have no weight decay, and no rate of their own
            in an optimizer that has a rate for each layer.
        epochs: epochs of the task, the warm-up included.
        warmup_epochs: epochs of linear rise; may be a fraction.
        warmup_start: the learning rate from which the warm-up rises.
        final_learning_rate: the learning rate when the task ends.
        backbone_rate: the factor on the learning rate of the backbone's parameters.
        head_warmup_epochs: epochs at the beginning in which the backbone stays as it is.
    """

    optimizer: OptimizerFactory
    learning_rate: float
    weight_decay: float
    exclude_norms_and_biases: bool
    epochs: int
    warmup_epochs: float
    warmup_start: float
    final_learning_rate: float
    backbone_rate: float = 1.0
    head_warmup_epochs: int = 0


def build_optimizer(
    modules: list[nn.Module],
    optimization: Optimization,
    constant_rate: Sequence[nn.Parameter] = (),
    backbone: nn.Module | None = None,
) -> torch.optim.Optimizer:
    """Return the optimizer over the trainable parameters of ``modules``.

    Args:
        modules: hold the parameters.
        optimization: how they move.
        constant_rate: those of them that no schedule moves; groups of their own.
        backbone: inside of them, at a rate of its own; groups of its own where that differs.
    """
    apart = [] if backbone is None or optimization.backbone_rate == 1 else [*backbone.parameters()]
    groups = group_parameters(modules, optimization.exclude_norms_and_biases, constant_rate, apart)
    for group in groups:
        if group.pop("of_backbone", False):
            group["lr"] = optimization.learning_rate * optimization.backbone_rate
            group["rate_factor"] = optimization.backbone_rate
    return optimization.optimizer(
        groups, lr=optimization.learning_rate, weight_decay=optimization.weight_decay
    )


def schedule_rate(optimization: Optimization, steps: TaskSteps) -> Callable[[int], float]:
    """Return the function from a step of the task, from 0, to its share of the peak rate."""
    warmup = round(optimization.warmup_epochs * steps.per_epoch)
    peak = optimization.learning_rate
    start = optimization.warmup_start / peak
    final = optimization.final_learning_rate / peak

    def share_of_peak(step: int) -> float:
        at = steps.locate(step)
        return warmup_cosine(at.step - at.phase_start, warmup, at.total_steps, start, final)

    return share_of_peak


def group_parameters(
    modules: list[nn.Module],
    exclude_norms_and_biases: bool,
    constant_rate: Sequence[nn.Parameter] = (),
    backbone: Sequence[nn.Parameter] = (),
) -> list[ParameterGroup]:
    """Return the groups of trainable parameters, in torch's format.

    Norms, biases and what a backbone names are the second group, if they are excluded:
    ``weight_decay`` 0, and ``adaptive`` False for an optimizer that has a rate for each layer;
    others pass over that.
    Parameters at a constant rate are grouped likewise after all others, with ``constant_rate``
    True for the schedule, and those of a backbone at a rate of its own before them, with
    ``of_backbone`` True.
    """
    trainable = [p for module in modules for p in module.parameters() if p.requires_grad]
    marked = {id(p): "constant_rate" for p in constant_rate}
    marked |= {id(p): "of_backbone" for p in backbone}
    excluded = _list_excluded(modules) if exclude_norms_and_biases else set()
    groups = _group_excluded([p for p in trainable if id(p) not in marked], excluded)
    for mark in ("of_backbone", "constant_rate"):
        if kept := [p for p in trainable if marked.get(id(p)) == mark]:
            groups += [{**group, mark: True} for group in _group_excluded(kept, excluded)]
    return groups


def _list_excluded(modules: list[nn.Module]) -> set[int]:
    """The ids of norms, biases, and what the backbones inside the modules name."""
    parts = [part for module in modules for part in module.modules()]
    named = [
        p for part in parts if isinstance(part, Backbone) for p in part.parameters_without_decay()
    ]
    flat = [p for module in modules for p in module.parameters() if p.ndim <= 1]
    return {id(parameter) for parameter in named + flat}


def _group_excluded(trainable: list[nn.Parameter], excluded_ids: set[int]) -> list[ParameterGroup]:
    excluded = [p for p in trainable if id(p) in excluded_ids]
    included = [p for p in trainable if id(p) not in excluded_ids]
    groups: list[ParameterGroup] = [{"params": included}]
    if excluded:
        groups.append({"params": excluded, "weight_decay": 0.0, "adaptive": False})
    return groups


def hold_optimizer(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return what an optimizer holds for each parameter, as ``restore_optimizer`` takes it."""
    held: dict[str, Tensor] = {}
    for number, state in optimizer.state_dict()["state"].items():
        for name, value in state.items():
            # SGD without momentum has None there.
            if value is not None:
                assert isinstance(value, Tensor), f"the optimizer holds a {type(value)}"
                held[f"{number}.{name}"] = value
    return held


def restore_optimizer(optimizer: torch.optim.Optimizer, held: Mapping[str, Tensor]) -> None:
    """Give an optimizer what it held for each parameter, laid out in memory as that is.

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
