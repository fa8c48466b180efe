"""Image operations on batches, against torchvision and by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as reference

from pipeline.data.augmentation import image_ops, resampling

CHANNELS = [1, 3]
FACTORS = [0.0, 0.3, 1.0, 1.2, 1.8]
HUES = [-0.5, -0.21, 0.0, 0.1, 0.5]
# top, left, height, width as shares of the image: all of it, strips, corners, the middle.
CROPS = [
    (0.0, 0.0, 1.0, 1.0),
    (0.1, 0.2, 0.3, 0.7),
    (0.0, 0.5, 0.9, 0.2),
    (0.6, 0.6, 0.4, 0.4),
    (0.25, 0.25, 0.5, 0.5),
    (0.4, 0.0, 0.02, 0.02),
]


def draw(count: int, channels: int, height: int = 28, width: int = 28) -> Tensor:
    return torch.rand(
        count, channels, height, width, generator=torch.Generator().manual_seed(height + width)
    )


def colours() -> Tensor:
    """Every mixture of five levels of red, green and blue: all ties, greys and borders."""
    levels = torch.linspace(0, 1, 5)
    cube = torch.cartesian_prod(levels, levels, levels)
    return cube.T.reshape(1, 3, 5, 25)


def assert_equal(found: Tensor, expected: list[Tensor]) -> None:
    torch.testing.assert_close(found, torch.stack(expected), rtol=0, atol=1e-5)


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize(
    ("height", "width", "size"),
    [(28, 28, 28), (40, 40, 32), (30, 44, 32), (64, 48, 24), (12, 20, 32), (7, 5, 28)],
)
def test_resized_crop_is_torchvisions_for_each_image(
    height: int, width: int, size: int, channels: int
) -> None:
    images = draw(len(CROPS), channels, height, width)
    boxes = [
        (int(t * height), int(x * width), max(1, int(h * height)), max(1, int(w * width)))
        for t, x, h, w in CROPS
    ]
    top, left, crop_height, crop_width = torch.tensor(boxes).unbind(1)
    found = resampling.resized_crop(images, top, left, crop_height, crop_width, size)
    expected = [
        reference.resized_crop(image, *box, [size, size], antialias=True)
        for image, box in zip(images, boxes, strict=True)
    ]
    assert_equal(found, expected)
    mirrored = torch.arange(len(CROPS)) % 2 == 1
    found = resampling.resized_crop(images, top, left, crop_height, crop_width, size, mirrored)
    expected[1::2] = [reference.horizontal_flip(image) for image in expected[1::2]]
    assert_equal(found, expected)


def pillow_bicubic(
    image: Tensor, box: tuple[int, int, int, int], size: int, kind: type = np.float32
) -> Tensor:
    """A crop as Pillow resizes it, plane by plane; top, left, height and width in the box."""
    top, left, height, width = box
    crop = image[:, top : top + height, left : left + width].numpy().astype(kind)
    resized = [Image.fromarray(p).resize((size, size), Image.Resampling.BICUBIC) for p in crop]
    return torch.from_numpy(np.stack([np.asarray(each, np.float32) for each in resized]))


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize(
    ("height", "width", "size"), [(28, 28, 28), (30, 44, 32), (64, 48, 24), (7, 5, 28)]
)
def test_a_bicubic_crop_is_pillows(height: int, width: int, size: int, channels: int) -> None:
    images = draw(len(CROPS), channels, height, width)
    boxes = [
        (int(t * height), int(x * width), max(1, int(h * height)), max(1, int(w * width)))
        for t, x, h, w in CROPS
    ]
    top, left, rows, columns = torch.tensor(boxes).unbind(1)
    found = resampling.resized_crop(images, top, left, rows, columns, size, interpolation="bicubic")
    assert_equal(
        found, [pillow_bicubic(*one, size).clamp(0, 1) for one in zip(images, boxes, strict=True)]
    )
    # Pillow cuts bytes between its two passes, so these shall not swing beyond black and white.
    images = (images * 0.3 + 0.35).mul_(255).round_()
    found = resampling.resized_crop(
        images / 255, top, left, rows, columns, size, interpolation="bicubic"
    )
    expected = [
        pillow_bicubic(each, box, size, np.uint8) for each, box in zip(images, boxes, strict=True)
    ]
    # It rounds the rows between the passes, and the result.
    assert (found * 255 - torch.stack(expected)).abs().max() <= 1.3


def test_bicubic_is_not_bilinear() -> None:
    images = draw(2, 3, 40, 40)
    zero, length = torch.zeros(2, dtype=torch.long), torch.full((2,), 20)
    crops = [
        resampling.resized_crop(images, zero, zero, length, length, 32, interpolation=kind)
        for kind in ("bilinear", "bicubic")
    ]
    assert (crops[0] - crops[1]).abs().max() > 0.05


def test_a_crop_of_everything_at_the_same_size_changes_nothing() -> None:
    images = draw(2, 3)
    zero, all_of_it = torch.zeros(2, dtype=torch.long), torch.full((2,), 28)
    found = resampling.resized_crop(images, zero, zero, all_of_it, all_of_it, 28)
    torch.testing.assert_close(found, images, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("in_size", "out_size"), [(28, 28), (40, 32), (10, 32), (64, 7)])
def test_rows_of_a_resample_matrix_sum_to_one_and_stay_inside(in_size: int, out_size: int) -> None:
    start = torch.tensor([0, 3, in_size - 1, 0])
    length = torch.tensor([in_size, in_size // 2, 1, 1])
    weights = resampling.resample_matrix(start, length, in_size, out_size)
    assert weights.shape == (4, out_size, in_size)
    torch.testing.assert_close(weights.sum(dim=2), torch.ones(4, out_size))
    assert (weights >= 0).all()
    pixels = torch.arange(in_size)
    outside = (pixels < start[:, None]) | (pixels >= (start + length)[:, None])
    assert (weights * outside[:, None]).sum() == 0


@pytest.mark.parametrize("channels", CHANNELS)
def test_rgb_to_grayscale_is_torchvisions(channels: int) -> None:
    images = draw(3, channels)
    expected = [reference.rgb_to_grayscale(image) for image in images]
    assert_equal(image_ops.rgb_to_grayscale(images), expected)


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize(
    ("ours", "theirs", "factors"),
    [
        (image_ops.adjust_brightness, reference.adjust_brightness, FACTORS),
        (image_ops.adjust_contrast, reference.adjust_contrast, FACTORS),
        (image_ops.adjust_saturation, reference.adjust_saturation, FACTORS),
        (image_ops.adjust_hue, reference.adjust_hue, HUES),
    ],
    ids=["brightness", "contrast", "saturation", "hue"],
)
def test_colour_changes_are_torchvisions_with_each_images_own_factor(
    ours: Callable[[Tensor, Tensor], Tensor],
    theirs: Callable[[Tensor, float], Tensor],
    factors: list[float],
    channels: int,
) -> None:
    images = draw(len(factors), channels)
    kept = images.clone()
    found = ours(images, torch.tensor(factors))
    expected = [theirs(image, factor) for image, factor in zip(images, factors, strict=True)]
    assert_equal(found, expected)
    assert torch.equal(images, kept)


@pytest.mark.parametrize("hue", HUES)
def test_hue_is_torchvisions_on_greys_and_pure_colours(hue: float) -> None:
    found = image_ops.adjust_hue(colours(), torch.tensor([hue]))
    assert_equal(found, [reference.adjust_hue(colours()[0], hue)])


def twist_by_hand(
    image: Tensor, brightness: float, contrast: float, saturation: float, hue: float
) -> Tensor:
    """One pixel after another: its color as a point of the plane of I and Q, turned and scaled."""
    twisted = torch.empty_like(image)
    for y in range(image.shape[1]):
        for x in range(image.shape[2]):
            red, green, blue = image[:, y, x].tolist()
            luma = 0.299 * red + 0.587 * green + 0.114 * blue
            color = complex(
                0.596 * red - 0.274 * green - 0.321 * blue,
                0.211 * red - 0.523 * green + 0.311 * blue,
            )
            color *= saturation * np.exp(-2j * np.pi * hue)
            for channel, (i, q) in enumerate(((0.956, 0.621), (-0.272, -0.647), (-1.107, 1.705))):
                value = luma + i * color.real + q * color.imag
                value = brightness * (contrast * value + (1 - contrast) * 128 / 255)
                twisted[channel, y, x] = min(1.0, max(0.0, value))
    return twisted


TWISTS = [
    (1.0, 1.0, 1.0, 0.0),
    (0.3, 1.0, 1.0, 0.0),
    (1.0, 1.7, 1.0, 0.0),
    (1.0, 1.0, 0.0, 0.0),
    (1.0, 1.0, 1.0, 0.2),
    (1.4, 0.4, 1.6, -0.15),
]


def test_twisted_colors_are_those_of_dali_s_formula() -> None:
    images = draw(len(TWISTS), 3, 9, 7)
    kept = images.clone()
    found = image_ops.twist_colors(images, *torch.tensor(TWISTS).unbind(1))
    expected = [twist_by_hand(image, *one) for image, one in zip(images, TWISTS, strict=True)]
    assert_equal(found, expected)
    assert torch.equal(images, kept)
    grey = draw(len(TWISTS), 1, 9, 7)
    found = image_ops.twist_colors(grey, *torch.tensor(TWISTS).unbind(1))
    moved = [
        b * (c * each + (1 - c) * 128 / 255) for each, (b, c, *_) in zip(grey, TWISTS, strict=True)
    ]
    assert_equal(found, [each.clamp(0, 1) for each in moved])


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("kernel_size", [3, 5])
@pytest.mark.parametrize(("height", "width"), [(28, 28), (17, 30), (4, 3)])
def test_gaussian_blur_is_torchvisions_with_each_images_own_sigma(
    height: int, width: int, kernel_size: int, channels: int
) -> None:
    sigmas = [0.1, 0.5, 1.0, 2.0]
    images = draw(len(sigmas), channels, height, width)
    found = image_ops.gaussian_blur(images, kernel_size, torch.tensor(sigmas))
    expected = [
        reference.gaussian_blur(image, [kernel_size, kernel_size], [sigma, sigma])
        for image, sigma in zip(images, sigmas, strict=True)
    ]
    assert_equal(found, expected)


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("threshold", [0.0, 0.5, 1.0])
def test_solarize_is_torchvisions(threshold: float, channels: int) -> None:
    images = (draw(3, channels) * 4).round() / 4
    assert (images == threshold).any()
    expected = [reference.solarize(image, threshold) for image in images]
    assert_equal(image_ops.solarize(images, threshold), expected)
