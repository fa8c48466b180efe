"""How the tasks of a stream were made unequal, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.artifacts.split import Split


def describe_lengths(splits: Sequence[Split]) -> Iterator[str]:
    """Yield how much of its training images each task keeps, where one leaves out some."""
    if any(split.share < 1 for split in splits):
        shares = ", ".join(f"{100 * split.share:.3g}" for split in splits)
        yield (
            f"Tasks are of unequal lengths (stream.imbalanced): they keep {shares} % of their "
            "training images, and all test images."
        )


def describe_drift(splits: Sequence[Split]) -> Iterator[str]:
    """Yield how many training images are of neighbouring tasks, where boundaries are blurred."""
    drifted = [count_drifted(split) for split in splits]
    if any(drifted):
        yield (
            "Boundaries are blurred (stream.blurred): of the tasks' training images "
            f"{', '.join(map(str, drifted))} are of neighbouring tasks' classes. A task is tested "
            "on its own classes alone, and called by them."
        )


def count_drifted(split: Split) -> int:
    """Return how many of a task's training images are of its neighbours' classes."""
    drifting = set((split.drifting or {}).values())
    return sum(label in drifting for label in split.labels["train"])
