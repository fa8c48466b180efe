"""Linear CKA: the similarity of two representations of the same images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def linear_cka(x: NDArray[np.floating], y: NDArray[np.floating]) -> float | None:
    """Return ‖Yᵀ X‖² / (‖Xᵀ X‖ ‖Yᵀ Y‖) of centred features, Frobenius norms.

    From 0 to 1; 1 if the two differ by a rotation, a scale and a shift only. Source: Kornblith
    et al., 2019, section 3.

    Args:
        x: features of M images, ``(M, F)``.
        y: other features of the same images, ``(M, G)``.

    Returns:
        The CKA; None if one of the two does not vary over the images.

    Raises:
        ValueError: they have different numbers of images.
    """
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y):
        raise ValueError(f"expected features of the same images, got {x.shape} and {y.shape}")
    a, b = (_centred(features) for features in (x, y))
    if not (a.any() and b.any()):
        return None
    shared = np.linalg.norm(b.T @ a) ** 2
    return float(shared / (np.linalg.norm(a.T @ a) * np.linalg.norm(b.T @ b)))


def _centred(features: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return features minus their means; a constant feature gives exact zeros."""
    values = features.astype(np.float64)
    values -= values[:1]
    return np.asarray(values - values.mean(axis=0), np.float64)
