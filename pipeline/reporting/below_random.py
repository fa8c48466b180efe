"""Runs that end below the network they started from, which training should never do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.metrics.accuracy_matrix import Matrix, average_measured
from pipeline.reporting.start import PRETRAINED

WHAT_HELPS = (
    "What usually helps: more epochs or steps, a lower learning rate, views that keep more of the "
    "image (a larger smallest crop, other augmentation), or a preset for one's own images: "
    "`cassle preset use own_images_small`."
)
WHAT_HELPS_PRETRAINED = (
    "What usually helps: a lower learning rate (train.backbone_rate: that of the backbone alone), "
    "frozen first layers (backbone.freeze_until), or holding on to the pretrained network from "
    "task 1 on: `dvc exp run -S strategy=cassle -S distill_from_start=true`."
)
MOST_NAMED = 6  # tasks; of more, the number


@dataclass(frozen=True)
class Shortfall:
    """A final accuracy below that of state 0, both in percent."""

    final: float
    start: float


@dataclass(frozen=True)
class Shortfalls:
    """What ends below state 0.

    Attributes:
        average: of the mean over the tasks that were measured on both networks.
        tasks: of each task by its number; none where all tasks have the same test images.
    """

    average: Shortfall | None
    tasks: dict[int, Shortfall]


def find_shortfalls(matrix: Matrix) -> Shortfalls | None:
    """Return what ends below state 0; None if nothing does.

    Args:
        matrix: accuracies in percent, row 0 of state 0.
    """
    both = {
        task: Shortfall(final, start)
        for task, (start, final) in enumerate(zip(matrix[0], matrix[-1], strict=True), start=1)
        if start is not None and final is not None
    }
    final = average_measured(pair.final for pair in both.values())
    start = average_measured(pair.start for pair in both.values())
    below = {task: pair for task, pair in both.items() if pair.final < pair.start}
    if final is None or start is None or not below:
        return None
    # Columns that are the same in every row are one test set.
    shared = all(len(set(row)) == 1 for row in matrix)
    return Shortfalls(Shortfall(final, start) if final < start else None, {} if shared else below)


def describe_shortfalls(found: Shortfalls, say_task: Callable[[int], str], start: str) -> str:
    """Return what ends below state 0, in words.

    Args:
        found: the accuracies.
        say_task: the name of a task in a sentence, by its number.
        start: what state 0 is called.
    """
    said = []
    if found.average is not None:
        said.append(f"A {_compare(found.average, start)}")
    named = list(found.tasks.items())[:MOST_NAMED]
    said += [f"{say_task(task)} {_compare(pair, start)}" for task, pair in named]
    if len(found.tasks) > len(named):
        said.append(f"{len(found.tasks) - len(named)} more tasks")
    return ", ".join(said)


def suggest_remedies(start: str) -> str:
    """Return what usually helps a run that ends below state 0, by what that is called."""
    return WHAT_HELPS_PRETRAINED if start == PRETRAINED else WHAT_HELPS


def warn_of_shortfalls(matrix: Matrix, say_task: Callable[[int], str], start: str) -> str | None:
    """Return a warning of what ends below state 0; None if nothing does."""
    found = find_shortfalls(matrix)
    if found is None:
        return None
    return (
        f"Training has made the features worse than those of the {start}: "
        f"{describe_shortfalls(found, say_task, start)}. {suggest_remedies(start)}"
    )


def _compare(pair: Shortfall, start: str) -> str:
    # Two digits where one shows no difference.
    digits = 1 if f"{pair.final:.1f}" != f"{pair.start:.1f}" else 2
    return f"{pair.final:.{digits}f} ({start} {pair.start:.{digits}f})"
