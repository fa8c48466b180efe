"""Images at the size and with the channels of others."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from pipeline.data.datasets.fitted import fit_channels, fit_size


def drawn(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def test_color_becomes_the_luminance_that_pillow_computes() -> None:
    images = drawn(5, 3, 9, 7)
    found = fit_channels(images, 1)
    assert found.shape == (5, 1, 9, 7)
    for image, grey in zip(images, found, strict=True):
        wanted = Image.fromarray(image.transpose(1, 2, 0)).convert("L")
        assert np.array_equal(grey[0], np.asarray(wanted))


def test_gray_stays_gray_in_three_equal_channels() -> None:
    images = drawn(4, 1, 6, 6)
    found = fit_channels(images, 3)
    assert all(np.array_equal(found[:, channel], images[:, 0]) for channel in range(3))
    assert np.array_equal(fit_channels(found, 1), images)


@pytest.mark.parametrize("channels", [1, 3])
def test_images_that_fit_are_left_as_they_are(channels: int) -> None:
    images = drawn(2, channels, 8, 8)
    assert fit_channels(images, channels) is images
    assert fit_size(images, 8, "bilinear") is images


def test_a_mean_stays_when_images_are_resized() -> None:
    images = drawn(2, 3, 28, 28)
    for size in (14, 56):
        found = fit_size(images, size, "bilinear")
        assert found.shape == (2, 3, size, size)
        assert found.mean() == pytest.approx(images.mean(), abs=1.5)
    even = np.full((1, 1, 10, 10), 77, np.uint8)
    assert (fit_size(even, 33, "bicubic") == 77).all()
