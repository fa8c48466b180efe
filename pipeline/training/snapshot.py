"""Snapshots of a training between two steps: all that the next step depends on, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from pipeline.files.csv_tables import list_columns
from pipeline.files.sealed_json import Json
from pipeline.models.loading import require_names, select_below
from pipeline.training.passed_images import PassedImages

if TYPE_CHECKING:  # it brings Lightning, which `cassle clean` does without
    from pipeline.training.learner import Learner

# Names of a snapshot's tensors, beside those of the network.
NETWORK, OPTIMIZER, SUM, AUGMENT = "network", "optimizer", "sum", "augment_generator"


@dataclass(frozen=True)
class Snapshot:
    """All that the next step of a task depends on.

    Attributes:
        tensors: parameters, buffers, optimizer and random generators by name.
        record: the numbers beside them.
    """

    tensors: Mapping[str, Tensor]
    record: Json


def take_snapshot(learner: Learner) -> Snapshot:
    """Return the snapshot of a training, where it is finite.

    Between steps only; the tensors are those in use, not copies.

    Raises:
        RunError: a loss term or a weight is not finite.
    """
    epochs, step = learner.epochs, learner.position.step
    epochs.require_finite(step)
    tensors = learner.network()
    epochs.require_finite_tensors(step, tensors)
    tensors |= {f"{SUM}.{name}": total for name, total in epochs.sums.items()}
    tensors[AUGMENT] = learner.view_stream.state()
    tensors |= {f"{OPTIMIZER}.{name}": t for name, t in learner.hold_optimizer().items()}
    if learner.online is not None:
        tensors |= learner.online.snapshot()
    columns = list_columns(epochs.rows)
    record: Json = {
        "step": step,
        # JSON objects keep no order, and columns have one.
        "columns": columns,
        "rows": [[row.get(name) for name in columns] for row in epochs.rows],
        "terms": list(epochs.sums),
        "summed": epochs.summed,
        "warned": epochs.warned,
        "passed": asdict(learner.passed),
    }
    return Snapshot(tensors, record)


def restore_snapshot(learner: Learner, snapshot: Snapshot) -> None:
    """Bring a new learner to where a snapshot was taken; before training begins.

    Raises:
        ValueError: it is of another network.
    """
    network = learner.network()
    memories = {f"{NETWORK}.strategy.{name}" for name, _ in learner.strategy.named_buffers()}
    held = {name: t for name, t in snapshot.tensors.items() if name.startswith(f"{NETWORK}.")}
    require_names(held, network)
    with torch.no_grad():
        for name, tensor in network.items():
            if name in memories and _may_have_grown(tensor, held[name]):
                owner, _, leaf = name.removeprefix(f"{NETWORK}.").rpartition(".")
                setattr(learner.get_submodule(owner), leaf, held[name].to(tensor.device).clone())
                continue
            if tensor.shape != held[name].shape:
                raise ValueError(f"{name} is {tuple(held[name].shape)}")
            tensor.copy_(held[name])
    if learner.online is not None:
        learner.online.restore(snapshot.tensors)
    learner.optimizer_before = select_below(snapshot.tensors, OPTIMIZER)
    learner.view_stream.resume(snapshot.tensors[AUGMENT])
    record = snapshot.record
    learner.steps_before = cast(int, record["step"])
    learner.passed = PassedImages(**cast(dict[str, int], record["passed"]))
    columns = cast(list[str], record["columns"])
    rows = cast(list[list[float | None]], record["rows"])
    sums = select_below(snapshot.tensors, SUM)
    epochs = learner.epochs
    epochs.rows = [dict(zip(columns, row, strict=True)) for row in rows]
    epochs.sums = {name: sums[name] for name in cast(list[str], record["terms"])}
    epochs.summed = cast(dict[str, int], record["summed"])
    epochs.warned = cast(bool, record["warned"])


def _may_have_grown(new: Tensor, held: Tensor) -> bool:
    """Whether a memory's buffer has changed the number of its rows while a task trained."""
    if new.ndim != held.ndim or new.ndim == 0:
        return False
    return len(new) == 0 or new.shape[1:] == held.shape[1:]
