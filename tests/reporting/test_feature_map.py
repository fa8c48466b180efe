"""Features from files to a map."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.reporting.page.feature_map import POINTS, draw_scatter, project_to_plane


def test_the_plane_is_that_of_the_singular_value_decomposition() -> None:
    features = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)
    features[:, 2] *= 10
    points, shares = project_to_plane(features)
    centred = features.astype(np.float64) - features.astype(np.float64).mean(axis=0)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    expected = left[:, :2] * singular[:2]
    for axis in range(2):
        sign = np.sign(expected[:, axis] @ points[:, axis])
        np.testing.assert_allclose(points[:, axis], sign * expected[:, axis], rtol=1e-4, atol=1e-4)
    assert shares == pytest.approx((100 * singular**2 / (singular**2).sum())[:2].tolist(), rel=1e-5)
    # The sign is not left to the decomposition: the largest entry is positive.
    assert np.corrcoef(points[:, 0], features[:, 2])[0, 1] > 0.9


@pytest.mark.parametrize("shape", [(5, 1), (1, 4), (6, 3)])
def test_flat_features_still_have_a_plane(shape: tuple[int, int]) -> None:
    points, shares = project_to_plane(np.ones(shape, np.float32))
    assert points.shape == (shape[0], 2)
    assert np.isfinite(points).all()
    assert shares == [0, 0]
    assert "nan" not in draw_scatter("m", "t", "d", points, np.zeros(shape[0], np.int64), ["one"])


def test_of_many_points_an_even_choice_is_drawn() -> None:
    points = np.random.default_rng(0).normal(size=(3 * POINTS, 2))
    groups = np.arange(3 * POINTS) % 3
    drawn = draw_scatter("m", "t", "d", points, groups, ["a", "b", "c"])
    assert str(drawn).count("h0") == POINTS
    assert "var(--series-3)" in drawn
