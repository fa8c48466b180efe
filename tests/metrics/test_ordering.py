"""The order of means, and how sure it is, against all draws counted by hand."""

from __future__ import annotations

import itertools

import pytest

from pipeline.metrics.ordering import bootstrap_places

ABOVE, BELOW, FAR = [10.0, 13.0, 16.0], [12.0, 12.0, 12.0], [1.0, 2.0, 3.0]


def test_shares_are_those_of_all_draws() -> None:
    first, second, third = bootstrap_places([ABOVE, BELOW, FAR], more_is_better=True)
    # Each of the 27 draws of three seeds by hand: the sum of three of 10, 13 and 16 against 36.
    sums = [sum(draw) for draw in itertools.product(ABOVE, repeat=3)]
    share = sum((total > 36) + (total == 36) / 2 for total in sums) / 27 * 100
    assert first.first == pytest.approx(share, abs=1.5)
    assert first.first + second.first == pytest.approx(100)
    assert (first.mean, second.mean, third.mean) == (13.0, 12.0, 2.0)
    assert (first.place, second.place, third.place) == (1.0, 2.0, 3.0)
    assert (first.low, first.high) == (second.low, second.high) == (1.0, 2.0)
    assert (third.first, third.low, third.high) == (0.0, 3.0, 3.0)


def test_of_forgetting_the_least_is_first() -> None:
    places = bootstrap_places([ABOVE, FAR], more_is_better=False)
    assert [place.place for place in places] == [2.0, 1.0]
    assert [place.first for place in places] == [0.0, 100.0]


def test_rows_share_their_draws() -> None:
    """Ahead by a little on every seed is ahead in every draw, however far the seeds differ."""
    ahead = [value + 0.1 for value in ABOVE]
    assert bootstrap_places([ABOVE, ahead], more_is_better=True)[1].first == 100.0


def test_equal_rows_share_their_places() -> None:
    # 0.1 + 0.2 + 0.3 and 0.3 + 0.2 + 0.1 differ in the last bit.
    places = bootstrap_places([[0.1, 0.2, 0.3], [0.1, 0.2, 0.3], FAR], more_is_better=False)
    assert [place.place for place in places] == [1.5, 1.5, 3.0]
    assert [place.first for place in places] == [50.0, 50.0, 0.0]


def test_the_same_values_give_the_same_shares() -> None:
    assert bootstrap_places([ABOVE, BELOW], True) == bootstrap_places([ABOVE, BELOW], True)


@pytest.mark.parametrize("values", [[[1.0, 2.0]], [[1.0, 2.0, 3.0], [1.0, 2.0]], []])
def test_too_few_seeds_give_no_order(values: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="expected rows of one length, 3 or more"):
        bootstrap_places(values, more_is_better=True)
