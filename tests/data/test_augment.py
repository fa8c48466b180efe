"""The augmentation: ranges, random streams, and views on any device."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torchvision.transforms import RandomResizedCrop

from pipeline.data.augmentation import image_ops, resampling
from pipeline.data.augmentation.augment import Augment, gather_changed
from pipeline.data.augmentation.recipe import CropNumbers
from pipeline.data.augmentation.view_augment import JitterStyle, ViewAugment
from pipeline.data.augmentation.view_stream import ViewStream

# A crop of the whole area of a square image is the image, so this recipe only normalises.
NOTHING = ViewAugment(
    crop_scale=(1.0, 1.0),
    flip=0.0,
    jitter=0.0,
    brightness=0.4,
    contrast=0.4,
    saturation=0.2,
    hue=0.1,
    grey=0.0,
    blur=0.0,
    solarize=0.0,
)
EVERYTHING = replace(
    NOTHING, crop_scale=(0.2, 1.0), flip=0.5, jitter=0.8, grey=0.2, blur=0.5, solarize=0.2
)
MEAN = {1: (0.25,), 3: (0.5, 0.4, 0.3)}
STD = {1: (0.5,), 3: (0.2, 0.3, 0.4)}


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def crops(count: int, height: int, width: int, scale: tuple[float, float]) -> Tensor:
    """Return top, left, height and width of one view's crops, ``(4, count)``."""
    numbers = CropNumbers(1, count)
    numbers.draw_view(0, scale, stream())
    return numbers.crops(height, width)[:, 0]


def draw(count: int, channels: int, size: int = 28) -> Tensor:
    shape = (count, channels, size, size)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=stream(9))


def views(
    images: Tensor, *recipes: ViewAugment, seed: int = 0, size: int = 28
) -> tuple[Tensor, ...]:
    channels = images.shape[1]
    return Augment(recipes, size, MEAN[channels], STD[channels])(images, stream(seed))


def restored(view: Tensor) -> Tensor:
    """Undo the normalisation: values in [0, 1] again."""
    channels = view.shape[1]
    return (
        view * torch.tensor(STD[channels])[:, None, None]
        + torch.tensor(MEAN[channels])[:, None, None]
    )


@pytest.mark.parametrize(("height", "width"), [(28, 28), (32, 48)])
@pytest.mark.parametrize("scale", [(0.08, 1.0), (0.2, 0.6), (0.9, 1.0)])
def test_crops_lie_inside_and_keep_to_their_bounds(
    height: int, width: int, scale: tuple[float, float]
) -> None:
    top, left, crop_height, crop_width = crops(4000, height, width, scale)
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + crop_height <= height).all()
    assert (left + crop_width <= width).all()
    # Each side is off by at most half a pixel from what was drawn; one central crop, that
    # of an image none of whose tries fitted, may be outside.
    central = (crop_height == height) & (crop_width == min(width, round(height * 4 / 3)))
    low = (crop_height - 0.5) * (crop_width - 0.5)
    high = (crop_height + 0.5) * (crop_width + 0.5)
    assert ((low <= scale[1] * height * width) | central).all()
    assert ((high >= scale[0] * height * width) | central).all()
    assert ((crop_width - 0.5) / (crop_height + 0.5) <= 4 / 3).all()
    assert ((crop_width + 0.5) / (crop_height - 0.5) >= 3 / 4).all()


def test_crops_are_distributed_as_torchvisions() -> None:
    ours = crops(4000, 28, 36, (0.2, 1.0)).double()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        image = torch.zeros(1, 28, 36)
        drawn = [
            RandomResizedCrop.get_params(image, [0.2, 1.0], [3 / 4, 4 / 3]) for _ in range(4000)
        ]
    theirs = torch.tensor(drawn).double().T
    torch.testing.assert_close(ours.mean(dim=1), theirs.mean(dim=1), rtol=0.03, atol=0.1)
    torch.testing.assert_close(ours.std(dim=1), theirs.std(dim=1), rtol=0.06, atol=0.1)


@pytest.mark.parametrize(
    ("height", "width", "expected"), [(1, 100, (1, 1)), (100, 1, (1, 1)), (10, 40, (10, 13))]
)
def test_where_no_try_fits_the_crop_is_central(
    height: int, width: int, expected: tuple[int, int]
) -> None:
    top, left, crop_height, crop_width = crops(50, height, width, (1.0, 1.0))
    assert set(zip(crop_height.tolist(), crop_width.tolist(), strict=True)) == {expected}
    assert ((2 * top + crop_height - height).abs() <= 1).all()
    assert ((2 * left + crop_width - width).abs() <= 1).all()


def test_crops_of_several_views_are_those_of_one_after_another() -> None:
    scales = [(0.2, 0.6), (0.5, 1.0), (1.0, 1.0)]
    together, alone, one_by_one = CropNumbers(3, 7), stream(), stream()
    expected = []
    for view, scale in enumerate(scales):
        together.draw_view(view, scale, alone)
        numbers = CropNumbers(1, 7)
        numbers.draw_view(0, scale, one_by_one)
        expected.append(numbers.crops(20, 30))
    # The last view's whole area fits no try: it is cropped in the middle, and no other is.
    assert torch.equal(together.crops(20, 30), torch.cat(expected, dim=1))


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_stream_gives_the_views_of_batch_after_batch(channels: int, processes: int) -> None:
    recipes = (EVERYTHING, replace(EVERYTHING, crop_scale=(0.5, 0.9)))
    augment = Augment(recipes, 28, MEAN[channels], STD[channels], processes - 1, processes)
    # More than are drawn at once, and two of another shape among them.
    batches = [draw(4, channels)] * 11 + [draw(3, channels, size=30)] * 2 + [draw(4, channels)] * 3
    plain, made = stream(3), ViewStream(augment, stream(3))
    for number, images in enumerate(batches):
        expected = augment(images, plain)
        assert all(map(torch.equal, made(images), expected)), number
        assert torch.equal(made.state(), plain.get_state()), number
        if number % 3 == 2:  # as a process does that goes on from a checkpoint
            state = made.state()
            made = ViewStream(augment, stream(4))
            made.resume(state)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_same_generator_gives_the_same_views_and_another_gives_others(channels: int) -> None:
    images = draw(6, channels)
    first = views(images, EVERYTHING, EVERYTHING, seed=3)
    again = views(images, EVERYTHING, EVERYTHING, seed=3)
    other = views(images, EVERYTHING, EVERYTHING, seed=4)
    for view, same, different in zip(first, again, other, strict=True):
        assert view.shape == images.shape
        assert torch.equal(view, same)
        assert not torch.equal(view, different)


@pytest.mark.parametrize("channels", [1, 3])
def test_of_dalis_jitter_only_the_chosen_images_change(channels: int) -> None:
    images = draw(60, channels)
    recipe = replace(NOTHING, jitter=0.5, jitter_style="dali")
    (drawn,), _ = Augment([recipe], 28, MEAN[channels], STD[channels]).draw_batches(
        images.shape, stream()
    )[0]
    assert 0 < drawn.jitter.sum() < 60
    found = restored(*views(images, recipe))
    scaled = images / 255
    assert torch.allclose(found[~drawn.jitter], scaled[~drawn.jitter], atol=1e-6)
    factors = {name: factor[drawn.jitter] for name, factor in drawn.factors}
    expected = image_ops.twist_colors(scaled[drawn.jitter], **factors)
    assert torch.allclose(found[drawn.jitter], expected, atol=1e-6)
    (other,) = views(images, replace(recipe, jitter_style="torchvision"))
    assert not torch.allclose(restored(other), found, atol=0.02)


def test_crops_are_bicubic_where_they_are_to_be() -> None:
    images = draw(8, 3)
    recipe = replace(NOTHING, crop_scale=(0.2, 0.5), interpolation="bicubic")
    (drawn,), _ = Augment([recipe], 28, MEAN[3], STD[3]).draw_batches(images.shape, stream())[0]
    expected = resampling.resized_crop(images / 255, *drawn.crops, 28, interpolation="bicubic")
    assert torch.allclose(restored(*views(images, recipe)), expected, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_views_of_an_image_differ(channels: int) -> None:
    first, second = views(draw(20, channels), EVERYTHING, EVERYTHING)
    assert ((first - second).abs().amax(dim=(1, 2, 3)) > 0.01).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_views_are_in_range_before_they_are_normalised(channels: int) -> None:
    values = restored(torch.cat(views(draw(50, channels), EVERYTHING, EVERYTHING)))
    assert values.isfinite().all()
    assert values.min() >= -1e-5
    assert values.max() <= 1 + 1e-5


@pytest.mark.parametrize("channels", [1, 3])
def test_a_recipe_of_nothing_only_normalises(channels: int) -> None:
    images = draw(4, channels)
    (view,) = views(images, NOTHING)
    for channel, (mean, std) in enumerate(zip(MEAN[channels], STD[channels], strict=True)):
        by_hand = (images[:, channel].double() / 255 - mean) / std
        torch.testing.assert_close(view[:, channel].double(), by_hand, rtol=0, atol=1e-5)
    augment = Augment((), 28, MEAN[channels], STD[channels])
    torch.testing.assert_close(augment.normalize(images), view, rtol=0, atol=1e-5)


def test_views_have_the_wanted_size() -> None:
    (view,) = views(draw(4, 3, size=40), EVERYTHING, size=32)
    assert view.shape == (4, 3, 32, 32)
    assert view.dtype == torch.float32


def test_probability_one_flips_every_image() -> None:
    images = draw(5, 3)
    flipped = restored(*views(images, replace(NOTHING, flip=1.0)))
    torch.testing.assert_close(flipped, (images / 255).flip(3), rtol=0, atol=1e-5)


def test_flipping_mirrors_the_view_and_moves_no_other_random_number() -> None:
    images = draw(5, 3)
    (without,) = views(images, replace(EVERYTHING, flip=0.0))
    (with_flip,) = views(images, replace(EVERYTHING, flip=1.0))
    # A mirrored image's mean is a sum in another order.
    torch.testing.assert_close(with_flip, without.flip(3), rtol=0, atol=1e-5)


def test_probability_one_drops_all_colours() -> None:
    images = draw(5, 3)
    grey = restored(*views(images, replace(NOTHING, grey=1.0)))
    expected = image_ops.rgb_to_grayscale(images / 255).expand_as(grey)
    torch.testing.assert_close(grey, expected, rtol=0, atol=1e-5)


def test_probability_one_changes_every_images_colours_in_its_own_way() -> None:
    image = draw(1, 3).expand(10, -1, -1, -1)
    jittered = restored(*views(image, replace(NOTHING, jitter=1.0)))
    change = (jittered - image / 255).abs().amax(dim=(1, 2, 3))
    assert (change > 0.01).all()
    assert (jittered[1:] - jittered[:-1]).abs().amax(dim=(1, 2, 3)).min() > 1e-3


def test_brightness_stays_within_its_strength() -> None:
    image = torch.full((500, 1, 4, 4), 100, dtype=torch.uint8)
    recipe = replace(NOTHING, jitter=1.0, brightness=0.4, contrast=0.0)
    factors = restored(*views(image, recipe, size=4))[:, 0, 0, 0] / (100 / 255)
    assert 0.6 - 1e-4 < factors.min() < 0.62
    assert 1.38 < factors.max() < 1.4 + 1e-4


def test_probability_one_blurs_every_image() -> None:
    (sharp,) = views(draw(50, 1), NOTHING)
    (blurred,) = views(draw(50, 1), replace(NOTHING, blur=1.0))
    spread = blurred.std(dim=(1, 2, 3)) / sharp.std(dim=(1, 2, 3))
    assert (spread < 1 + 1e-5).all()
    assert spread.median() < 0.6


@pytest.mark.parametrize("name", ["flip", "jitter", "grey", "solarize"])
def test_a_probability_is_a_share_of_the_images(name: str) -> None:
    images = draw(2000, 3, size=6)
    (untouched,) = views(images, NOTHING, size=6)
    (view,) = views(images, replace(NOTHING, **{name: 0.3}), size=6)  # type: ignore[arg-type]
    changed = (view - untouched).abs().amax(dim=(1, 2, 3)) > 1e-4
    assert 0.26 < changed.double().mean() < 0.34


def test_each_view_has_its_own_recipe() -> None:
    images = draw(5, 1)
    first, second = views(images, NOTHING, replace(NOTHING, solarize=1.0))
    torch.testing.assert_close(restored(first), images / 255, rtol=0, atol=1e-5)
    # 0.5 lies between two bytes, so the crop's rounding cannot move a pixel over it.
    solarized = image_ops.solarize(images / 255, 0.5)
    torch.testing.assert_close(restored(second), solarized, rtol=0, atol=1e-5)


def test_grey_images_pass_where_colours_are_changed() -> None:
    images = draw(5, 1)
    colourful = replace(EVERYTHING, jitter=1.0, grey=1.0, saturation=0.8, hue=0.5)
    colourless = replace(colourful, saturation=0.0, hue=0.0, grey=0.0)
    assert torch.equal(*views(images, colourful), *views(images, colourless))


@pytest.mark.parametrize("channels", [1, 3])
def test_the_images_themselves_are_unchanged(channels: int) -> None:
    images = draw(8, channels)
    kept = images.clone()
    views(images, EVERYTHING, EVERYTHING)
    assert torch.equal(images, kept)


def test_views_are_the_same_in_mixed_precision() -> None:
    images = draw(8, 3)
    expected = views(images, EVERYTHING, EVERYTHING)
    with torch.autocast("cpu", torch.bfloat16):
        found = views(images, EVERYTHING, EVERYTHING)
    for view, same in zip(found, expected, strict=True):
        assert view.dtype == torch.float32
        assert torch.equal(view, same)


class Record(TorchDispatchMode):
    """Keep the names of the operations that are called."""

    def __init__(self) -> None:
        super().__init__()
        self.called: set[str] = set()

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        self.called.add(operation.overloadpacket.__name__)
        return operation(*args, **kwargs or {})


WAITS = {"_local_scalar_dense", "item", "equal"}
# Where results have to be the same each time, torch's kernels sort the places.
SORTS = {"index_put_", "_index_put_impl_", "scatter_", "scatter_add_", "index_add_"}


@pytest.mark.parametrize("style", ["torchvision", "dali"])
def test_making_views_neither_waits_for_a_gpu_nor_writes_to_places_it_would_sort(
    style: JitterStyle,
) -> None:
    recipe = replace(EVERYTHING, jitter_style=style, blur=1.0)
    augment = Augment((recipe, recipe), 28, MEAN[3], STD[3])
    images = draw(12, 3)
    ((drawn, _),) = augment.draw_batches(images.shape, stream())
    with Record() as record:
        augment.make_views(images, drawn)
    assert "index_copy_" in record.called  # of a CPU alone, see the next test
    assert not record.called & (WAITS | SORTS)


def test_changed_images_are_put_back_on_a_gpu_as_on_a_cpu_without_waiting_or_sorting() -> None:
    planes, changed = torch.rand(3, 6, 4, 4), torch.rand(3, 2, 4, 4)
    chosen = torch.tensor([False, True, False, False, True, False])
    with Record() as record:
        found = gather_changed(planes, changed, chosen)
    assert not record.called & (WAITS | SORTS | {"index_copy_"})
    assert torch.equal(found, planes.index_copy(1, torch.tensor([1, 4]), changed))


def test_what_is_not_augmented_is_the_centre_of_a_larger_image() -> None:
    images = torch.randint(0, 256, (2, 1, 10, 9), dtype=torch.uint8)
    found = Augment((), 6, [0.0], [1.0]).normalize(images)
    torch.testing.assert_close(found, images[:, :, 2:8, 1:7].float() / 255)
    whole = Augment((), 6, [0.0], [1.0]).normalize(images[:, :, 2:8, 1:7])
    assert torch.equal(found, whole)
