"""How sure the order of several means is: a bootstrap over the runs they share."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS = 10_000
FEWEST = 3  # runs of each: of fewer there are next to no different draws
COVERED = (2.5, 97.5)  # percentiles of the draws between which the given places lie
DECIMALS = 9  # beyond which means that were summed in another order are equal


@dataclass(frozen=True)
class Place:
    """The place of one mean among several.

    Attributes:
        mean: the mean of the values.
        place: its place among the means, 1 the best; equal means share the middle of theirs.
        first: the share of draws in which it is the best, in percent; equal ones share it.
        low: the 2.5th percentile of its places in the draws.
        high: the 97.5th percentile.
    """

    mean: float
    place: float
    first: float
    low: float
    high: float


def bootstrap_places(values: Sequence[Sequence[float]], more_is_better: bool) -> list[Place]:
    """Return the place of each row's mean, and how far it depends on which columns there are.

    The columns are drawn again with replacement, as many as there are, ``DRAWS`` times, the same
    ones for all rows; the rows are put in order by their means of each draw (the percentile
    bootstrap of Efron, 1979). The random numbers are the same every time.

    Args:
        values: one row for each thing to be ordered, with one column for each shared run.
        more_is_better: whether the largest mean is first.

    Raises:
        ValueError: there are fewer than ``FEWEST`` columns, or rows of different lengths.
    """
    counts = {len(row) for row in values}
    if len(counts) != 1 or min(counts) < FEWEST:
        raise ValueError(f"expected rows of one length, {FEWEST} or more, got {sorted(counts)}")
    columns = range(counts.pop())
    # Python's generator gives the same numbers in all versions.
    generator = random.Random(0)
    draws = np.array([generator.choices(columns, k=len(columns)) for _ in range(DRAWS)])
    table = np.array(values, dtype=np.float64)
    found = _place(table[:, draws].mean(axis=2), more_is_better)
    best = found == found.min(axis=0)
    first = 100 * (best / best.sum(axis=0)).mean(axis=1)
    low, high = np.percentile(found, COVERED, axis=1, method="inverted_cdf")
    means = table.mean(axis=1)
    places = _place(means[:, None], more_is_better)[:, 0]
    return [Place(*map(float, row)) for row in zip(means, places, first, low, high, strict=True)]


def _place(means: NDArray[np.float64], more_is_better: bool) -> NDArray[np.float64]:
    """Return the place of each mean in its column; equal ones share the middle of theirs."""
    signed = np.round(-means if more_is_better else means, DECIMALS)
    before = np.array([(signed < row).sum(axis=0) for row in signed])
    equal = np.array([(signed == row).sum(axis=0) for row in signed])
    return before + (equal + 1) / 2
