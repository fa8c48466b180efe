"""Training logs: losses by epoch, and the time and memory that training took."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from pipeline import layout
from pipeline.artifacts.remedy import name_remedy
from pipeline.errors import RunError
from pipeline.files.csv_tables import list_columns, read_csv_checked, write_csv
from pipeline.files.sealed_json import file_digest, read_sealed, write_sealed
from pipeline.files.typed_json import as_json, from_json

NOT_LOSSES = ("task", "epoch", "step", "projection_std", "projection_rank", "learning_rate")
MEASURED = "probe_"  # columns of accuracies in percent that probes have measured
Over = Literal["all", "this", "earlier"]  # tasks that an accuracy is of: all so far, ...
OVER: Mapping[Over, str] = {"all": "", "this": "_this_task", "earlier": "_earlier_tasks"}


@dataclass(frozen=True)
class Timing:
    """The time and memory that training a task took.

    Attributes:
        seconds: of training.
        look_back_seconds: of what the strategy does when the task begins.
        steps: of the optimizer.
        device: ``cpu``, ``cuda`` or ``mps``.
        processes: that trained together.
        precision: Lightning's name of it.
        forward_passes: through a backbone, for each view of each image of a batch.
        strategy_bytes: what the strategy holds beside the network.
        carried_bytes: what it carries to the next task.
        log: SHA-256 of the file of losses.
        cpu_seconds: of training and looking back, by all threads of the process that wrote it
            and by those it had read images; None: an older version made it.
        teacher_passes: those of the forward passes that were through the strategy's own network.
        images_forward: images that passed through a backbone, each view counted; None: an older
            version made it; likewise the next one.
        images_backward: those of them that passed backward too; what ``train.budget`` limits.
    """

    seconds: float
    look_back_seconds: float
    steps: int
    device: str
    processes: int
    precision: str
    forward_passes: float
    strategy_bytes: int
    carried_bytes: int
    log: str
    cpu_seconds: float | None = None
    teacher_passes: float = 0.0
    images_forward: int | None = None
    images_backward: int | None = None


def name_measurement(probe: str, over: Over) -> str:
    """The column of what a probe measures while a task trains.

    Args:
        probe: its name in params.yaml.
        over: all tasks so far, this one or the earlier ones.
    """
    return f"{MEASURED}{probe}{OVER[over]}"


def list_losses(columns: Iterable[str]) -> list[str]:
    """Those of a log's columns that are loss terms, once each, in order."""
    return [
        name
        for name in dict.fromkeys(columns)
        if name not in NOT_LOSSES and not name.startswith(MEASURED)
    ]


def list_measured(columns: Iterable[str]) -> list[str]:
    """The probes that a log's columns have measurements of, once each, in order."""
    held = dict.fromkeys(columns)
    found = [name.removeprefix(MEASURED) for name in held if name.startswith(MEASURED)]
    return [name for name in found if not name.endswith((OVER["this"], OVER["earlier"]))]


def write_losses(task: int, rows: Sequence[Mapping[str, float | None]]) -> str:
    """Write a row of losses for each epoch of a task; return the file's SHA-256.

    What was not measured in an epoch (None), or is no loss term of its phase, is an empty cell.

    Raises:
        RunError: it cannot be written.
    """
    write_csv(layout.log(task), list_columns(rows), rows)
    return file_digest(layout.log(task))


def write_timing(task: int, timing: Timing) -> None:
    """Write what training a task took.

    Raises:
        RunError: it cannot be written.
    """
    write_sealed(layout.timing(task), as_json(timing))


def read_seconds(last: int) -> list[float]:
    """The seconds that each task up to ``last`` took to train, of those that are known."""
    found = []
    for task in range(1, last + 1):
        with suppress(RunError):
            timing, _ = read_training_log(task)
            found.append(timing.seconds + timing.look_back_seconds)
    return found


def read_training_log(task: int) -> tuple[Timing, list[dict[str, str]]]:
    """The timing of a task's training, and its losses: a row for each epoch.

    Raises:
        RunError: missing or damaged.
    """
    path, remedy = layout.timing(task), name_remedy(f"cassle train {task}")
    held = read_sealed(path, RunError, remedy)
    if held is None:
        raise RunError(f"{path} is empty; {remedy}")
    try:
        timing = from_json(Timing, held)
    except ValueError as error:
        raise RunError(f"{path} is of another version ({error}); {remedy}") from error
    return timing, read_csv_checked(layout.log(task), timing.log, RunError, remedy)
