"""Means and confidence intervals over seeds."""

from __future__ import annotations

import math

import pytest

from pipeline.metrics.estimates import (
    Difference,
    estimate,
    paired_difference,
    pooled_difference,
    student_quantile,
)


@pytest.mark.parametrize(
    ("freedom", "expected"),
    [
        # scipy.special.stdtrit(freedom, 0.975), SciPy 1.17.1
        (1, 12.706204736174694),
        (2, 4.302652729749462),
        (3, 3.1824463052837078),
        (4, 2.7764451051977934),
        (5, 2.5705818356363146),
        (9, 2.262157162798205),
        (10, 2.228138851986274),
        (30, 2.0422724563012378),
    ],
)
def test_the_quantiles_of_students_t_are_scipys(freedom: int, expected: float) -> None:
    assert student_quantile(0.975, freedom) == pytest.approx(expected, rel=1e-12)


def test_quantiles_with_one_and_two_degrees_of_freedom_have_closed_forms() -> None:
    for probability in (0.6, 0.9, 0.995):
        share = 2 * probability - 1
        assert student_quantile(probability, 1) == pytest.approx(math.tan(math.pi * share / 2))
        assert student_quantile(probability, 2) == pytest.approx(
            share * math.sqrt(2 / (1 - share**2))
        )


def test_with_many_degrees_of_freedom_t_is_normal() -> None:
    assert student_quantile(0.975, 100_000) == pytest.approx(1.959964, abs=1e-4)


def test_there_are_no_quantiles_below_the_median_and_without_freedom() -> None:
    with pytest.raises(ValueError, match=r"got 0\.4"):
        student_quantile(0.4, 3)
    with pytest.raises(ValueError, match="got 1"):
        student_quantile(1, 3)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        student_quantile(0.975, 0)


def test_the_deviation_is_that_of_a_sample() -> None:
    found = estimate([2.0, 4.0, 9.0])
    assert found is not None
    assert (found.n, found.mean) == (3, 5.0)
    assert found.deviation == pytest.approx(math.sqrt((9 + 1 + 16) / 2))


def test_one_value_has_no_deviation_and_none_no_mean() -> None:
    found = estimate([3.0])
    assert found is not None
    assert (found.n, found.mean, found.deviation) == (1, 3.0, None)
    assert estimate([]) is None
    assert paired_difference([]) is None


def test_a_paired_difference_by_hand() -> None:
    # Differences 1, 2, 3: mean 2, deviation 1; t(0.975, 2) = 4.302652730.
    found = paired_difference([(2.0, 1.0), (5.0, 3.0), (6.0, 3.0)])
    assert found is not None
    assert (found.n, found.mean, found.above, found.below) == (3, 2.0, 3, 0)
    half = 4.302652729749462 / math.sqrt(3)
    assert found.interval == pytest.approx((2 - half, 2 + half))


def test_the_interval_is_of_the_pairs_and_not_of_the_groups() -> None:
    # Seeds differ by tens, the difference is the same on each: there is no doubt about it.
    found = paired_difference([(11.0, 10.0), (51.0, 50.0), (91.0, 90.0)])
    assert found is not None
    assert found.interval == (1.0, 1.0)


def test_one_pair_has_no_interval_and_equal_pairs_are_no_wins() -> None:
    one = paired_difference([(1.0, 2.0)])
    assert one is not None
    assert (one.mean, one.interval, one.above, one.below) == (-1.0, None, 0, 1)
    equal = paired_difference([(1.0, 1.0), (2.0, 1.0)])
    assert equal is not None
    assert (equal.above, equal.below) == (1, 0)


@pytest.mark.parametrize(
    ("above", "below", "expected"),
    [
        # scipy.stats.binomtest(above, above + below).pvalue, SciPy 1.17.1
        (5, 0, 0.0625),
        (2, 38, 1.493454329e-09),
        (9, 1, 0.021484375),
        (11, 9, 0.8238029479980469),
        # Half of the pairs, and none that differs: nothing speaks for either.
        (10, 10, 1.0),
        (0, 0, 1.0),
    ],
)
def test_the_sign_test_is_the_exact_binomial_one(above: int, below: int, expected: float) -> None:
    found = Difference(1, 0.0, None, above, below, above + below)
    assert found.sign_test == pytest.approx(expected, rel=1e-9)
    turned = Difference(1, 0.0, None, below, above, above + below)
    assert turned.sign_test == found.sign_test


def test_a_sign_test_of_many_pairs_is_finite() -> None:
    assert Difference(1, 0.0, None, 2000, 1000, 3000).sign_test == pytest.approx(0, abs=1e-60)


def test_over_methods_seeds_are_what_is_independent() -> None:
    """Two methods that always agree tell no more than one."""
    once = paired_difference([(1.0, 0.0), (2.0, 0.0), (4.0, 0.0)])
    twice = pooled_difference([[(1.0, 0.0)] * 2, [(2.0, 0.0)] * 2, [(4.0, 0.0)] * 2])
    assert once is not None and twice is not None
    assert (twice.n, twice.pairs) == (3, 6)
    assert (twice.mean, twice.interval) == (once.mean, once.interval)
    assert (twice.above, once.above) == (6, 3)
    assert pooled_difference([[], []]) is None


def test_over_methods_the_mean_of_each_seed_counts() -> None:
    found = pooled_difference([[(3.0, 1.0), (1.0, 2.0)], [(5.0, 1.0), (2.0, 2.0)]])
    assert found is not None
    # Differences 2 and -1, 4 and 0: means 0.5 and 2, whose half width is 12.7062 * 1.06066 / sqrt 2.
    assert found.mean == 1.25
    assert found.interval == pytest.approx((1.25 - 9.529653, 1.25 + 9.529653), abs=1e-5)
    assert (found.above, found.below, found.pairs) == (2, 1, 4)
