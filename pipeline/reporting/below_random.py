"""Runs that end below the random network, which training should never do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.metrics.accuracy_matrix import Matrix, average_measured

WHAT_HELPS = (
    "What usually helps: more epochs or steps, a lower learning rate, views that keep more of the "
    "image (a larger smallest crop, other augmentation), or a preset for one's own images: "
    "`cassle preset use own_images_small`."
)
MOST_NAMED = 6  # tasks; of more, the number


@dataclass(frozen=True)
class Shortfall:
    """A final accuracy below the random network's, both in percent."""

    final: float
    random: float


@dataclass(frozen=True)
class Shortfalls:
    """What ends below the random network.

    Attributes:
        average: of the mean over the tasks that were measured on both networks.
        tasks: of each task by its number; none where all tasks have the same test images.
    """

    average: Shortfall | None
    tasks: dict[int, Shortfall]


def find_shortfalls(matrix: Matrix) -> Shortfalls | None:
    """Return what ends below the random network; None if nothing does.

    Args:
        matrix: accuracies in percent, row 0 the random network.
    """
    both = {
        task: Shortfall(final, random)
        for task, (random, final) in enumerate(zip(matrix[0], matrix[-1], strict=True), start=1)
        if random is not None and final is not None
    }
    final = average_measured(pair.final for pair in both.values())
    random = average_measured(pair.random for pair in both.values())
    below = {task: pair for task, pair in both.items() if pair.final < pair.random}
    if final is None or random is None or not below:
        return None
    # Columns that are the same in every row are one test set.
    shared = all(len(set(row)) == 1 for row in matrix)
    return Shortfalls(Shortfall(final, random) if final < random else None, {} if shared else below)


def describe_shortfalls(found: Shortfalls, say_task: Callable[[int], str]) -> str:
    """Return what ends below the random network, in words.

    Args:
        found: the accuracies.
        say_task: the name of a task in a sentence, by its number.
    """
    said = []
    if found.average is not None:
        said.append(f"A {_compare(found.average)}")
    named = list(found.tasks.items())[:MOST_NAMED]
    said += [f"{say_task(task)} {_compare(pair)}" for task, pair in named]
    if len(found.tasks) > len(named):
        said.append(f"{len(found.tasks) - len(named)} more tasks")
    return ", ".join(said)


def warn_of_shortfalls(matrix: Matrix, say_task: Callable[[int], str]) -> str | None:
    """Return a warning of what ends below the random network; None if nothing does."""
    found = find_shortfalls(matrix)
    if found is None:
        return None
    return (
        "Training has made the features worse than those of the random network: "
        f"{describe_shortfalls(found, say_task)}. {WHAT_HELPS}"
    )


def _compare(pair: Shortfall) -> str:
    # Two digits where one shows no difference.
    digits = 1 if f"{pair.final:.1f}" != f"{pair.random:.1f}" else 2
    return f"{pair.final:.{digits}f} (random network {pair.random:.{digits}f})"
