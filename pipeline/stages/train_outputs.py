"""What training a task writes: the state, the log and the timing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from torch import Tensor

from pipeline import layout
from pipeline.artifacts.plan import maker, part
from pipeline.artifacts.split import read_split
from pipeline.artifacts.state import State, save_state
from pipeline.distributed.group import Group
from pipeline.files.csv_tables import write_csv
from pipeline.files.sealed_json import Json, digest, file_digest, write_sealed
from pipeline.runtime.device import Precision
from pipeline.strategies.base import Strategy
from pipeline.training.learner import Learner


def write_outputs(
    slot: Json,
    task: int,
    learner: Learner,
    previous: State,
    seconds: float,
    looked_back: float,
    group: Group,
    precision: Precision,
) -> None:
    """Write the outputs, the state last."""
    method, strategy = learner.method, learner.strategy
    batch_size = cast(int, part(slot, "train")["batch_size"])
    tensors = {f"method.{name}": value for name, value in method.state_dict().items()}
    tensors |= {f"strategy.{name}": value for name, value in strategy.carried().items()}
    origin: Json = {
        "task": task,
        "backbone": slot["backbone"],
        "method": part(slot, "method")["name"],
        "plan": digest(slot),
        **maker(slot),
        **previous.descent(digest(read_split(task))),
    }
    rows = learner.epochs.rows
    write_csv(layout.log(task), list(rows[0]), rows)
    timing: Json = {
        "seconds": round(seconds, 1),
        "look_back_seconds": round(looked_back, 1),
        "steps": learner.total_steps,
        "device": str(group.device),
        "processes": group.processes.count,
        "precision": precision,
        "forward_passes": round(learner.forward_passes(batch_size), 4),
        "strategy_bytes": _bytes(_tensors(strategy)),
        "carried_bytes": _bytes(strategy.carried().values()),
        "log": file_digest(layout.log(task)),
    }
    write_sealed(layout.timing(task), timing)
    save_state(layout.state(task), tensors, origin)


def _tensors(strategy: Strategy) -> list[Tensor]:
    return [*strategy.parameters(), *strategy.buffers()]


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
