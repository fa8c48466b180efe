"""Linear CKA: against its definition, and its invariances."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.metrics.cka import linear_cka

X = np.random.default_rng(0).normal(size=(40, 5))
Y = np.random.default_rng(1).normal(size=(40, 3)) + X[:, :3]


def by_kernels(x: np.ndarray, y: np.ndarray) -> float:
    """Return HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)) of the linear kernels."""
    centre = np.eye(len(x)) - 1 / len(x)
    k, other = (centre @ (features @ features.T) @ centre for features in (x, y))
    return float(np.trace(k @ other) / np.sqrt(np.trace(k @ k) * np.trace(other @ other)))


def test_cka_is_that_of_the_linear_kernels() -> None:
    assert 0.2 < by_kernels(X, Y) < 0.9
    assert linear_cka(X, Y) == pytest.approx(by_kernels(X, Y))


def test_cka_by_hand() -> None:
    # Centred: x = (-1, 0, 1); y = the same, and (-1, 2, -1).
    x = np.array([[0.0], [1.0], [2.0]])
    y = np.array([[0.0, 0.0], [1.0, 3.0], [2.0, 0.0]])
    # Yᵀ X = (2, 0); Xᵀ X = 2; Yᵀ Y = diag(2, 6).
    assert linear_cka(x, y) == pytest.approx(4 / (2 * np.sqrt(4 + 36)))


def test_cka_does_not_see_rotation_scale_and_shift() -> None:
    rotation, _ = np.linalg.qr(np.random.default_rng(2).normal(size=(5, 5)))
    assert linear_cka(X, 3 * X @ rotation - 7) == pytest.approx(1)
    assert linear_cka(X, Y) == pytest.approx(linear_cka(3 * X @ rotation - 7, Y))


def test_cka_changes_under_a_map_that_is_not_orthogonal() -> None:
    stretched = X * [10, 1, 1, 1, 1]
    assert linear_cka(X, stretched) == pytest.approx(by_kernels(X, stretched))
    assert linear_cka(X, stretched) < 0.9


def test_cka_is_symmetric_and_computed_in_double() -> None:
    assert linear_cka(X, Y) == pytest.approx(linear_cka(Y, X))
    far = (X + 1000).astype(np.float32)
    assert linear_cka(far, far) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e4])
def test_features_that_do_not_vary_have_no_cka(constant: float) -> None:
    same = np.full((40, 5), constant, np.float32)
    assert linear_cka(X, same) is None
    assert linear_cka(same, same) is None


@pytest.mark.parametrize("shape", [(39, 5), (40,)])
def test_features_of_other_images_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected features of the same images"):
        linear_cka(X, np.zeros(shape))
