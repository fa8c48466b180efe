"""Means over runs and paired differences between runs of the same seeds; pure functions."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """The mean of a metric over runs.

    Attributes:
        n: the number of runs, at least 1.
        mean: the mean over the runs.
        deviation: the sample standard deviation (n - 1); None for one run.
    """

    n: int
    mean: float
    deviation: float | None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % confidence interval of the mean, if values are normally distributed.

        Student's t; None for one run.
        """
        if self.deviation is None:
            return None
        quantile = student_quantile((1 + CONFIDENCE) / 2, self.n - 1)
        half = quantile * self.deviation / math.sqrt(self.n)
        return (self.mean - half, self.mean + half)


@dataclass(frozen=True)
class Difference:
    """The paired difference between two runs' metrics on the same seeds, first minus second.

    Attributes:
        n: the number of seeds, at least 1.
        mean: the mean of the differences.
        interval: the 95 % confidence interval of the mean, if the seeds' differences are normally
            distributed; None for one seed.
        above: the number of pairs in which the first is larger.
        below: the number of pairs in which it is smaller.
        pairs: the number of pairs; several for each seed where methods are taken together.
    """

    n: int
    mean: float
    interval: tuple[float, float] | None
    above: int
    below: int
    pairs: int

    @property
    def sign_test(self) -> float:
        """The two-sided p of the sign test, from 0 to 1.

        How often as many pairs or more would agree if each were a toss of a coin (the exact
        binomial distribution). Pairs without a difference are left out, as is usual (Conover,
        Practical Nonparametric Statistics, 3rd edition, section 3.4).
        """
        n = self.above + self.below
        tail = sum(math.comb(n, k) for k in range(min(self.above, self.below) + 1))
        return min(1.0, 2 * tail / (1 << n))


def estimate(values: Sequence[float]) -> Estimate | None:
    """Return the mean and deviation of values; None without values."""
    if not values:
        return None
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return Estimate(len(values), statistics.fmean(values), deviation)


def paired_difference(pairs: Sequence[tuple[float, float]]) -> Difference | None:
    """Return the difference first minus second over pairs, one a seed; None without pairs."""
    return pooled_difference([[pair] for pair in pairs])


def pooled_difference(seeds: Sequence[Sequence[tuple[float, float]]]) -> Difference | None:
    """Return the difference first minus second over the pairs of several methods.

    Mean and interval are of the seeds' means: pairs of one seed share its split and are not
    independent of each other.

    Args:
        seeds: for each seed one pair a method.

    Returns:
        The difference; None without pairs.
    """
    by_seed = [[first - second for first, second in pairs] for pairs in seeds if pairs]
    found = estimate([statistics.fmean(differences) for differences in by_seed])
    if found is None:
        return None
    single = [difference for differences in by_seed for difference in differences]
    above = sum(difference > 0 for difference in single)
    below = sum(difference < 0 for difference in single)
    return Difference(found.n, found.mean, found.interval, above, below, len(single))


@lru_cache(maxsize=256)
def student_quantile(probability: float, freedom: int) -> float:
    """Return the quantile of Student's t distribution.

    By bisection of the distribution function. SciPy has it too, but importing scipy.special
    takes longer than the rest of the command.

    Args:
        probability: from 0.5 to below 1.
        freedom: the degrees of freedom, at least 1.
    """
    if not 0.5 <= probability < 1:
        raise ValueError(f"probability must be from 0.5 to below 1, got {probability}")
    low, high = 0.0, 1.0
    while _student_probability(high, freedom) < probability:
        high *= 2
    while True:
        middle = (low + high) / 2
        if middle in (low, high):
            return middle
        if _student_probability(middle, freedom) < probability:
            low = middle
        else:
            high = middle


def _student_probability(t: float, freedom: int) -> float:
    """Return P(T <= t) for t >= 0: the finite sums of Abramowitz and Stegun, 26.7.3 and 26.7.4."""
    if freedom < 1:
        raise ValueError(f"degrees of freedom must be at least 1, got {freedom}")
    angle = math.atan(t / math.sqrt(freedom))
    cosine = math.cos(angle)
    odd = freedom % 2
    term = cosine if odd else 1.0
    total = term if freedom > 1 else 0.0
    for k in range(2 + odd, freedom, 2):
        term *= (k - 1) / k * cosine**2
        total += term
    total *= math.sin(angle)
    within = 2 / math.pi * (angle + total) if odd else total
    return (1 + within) / 2
