"""Whole images of different shapes: on canvases, in the store, and the crops drawn from them."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from pipeline.data.augmentation.augment import Augment
from pipeline.data.augmentation.recipe import CropNumbers
from pipeline.data.augmentation.resampling import resized_crop
from pipeline.data.augmentation.view_augment import ViewAugment
from pipeline.data.augmentation.view_stream import ViewStream
from pipeline.data.augmentation.whole_crops import choose_crops, crop_whole, read_shapes
from pipeline.data.batches import Images, TaskOrder, ordered_batches, training_batches
from pipeline.data.canvas import MAX_ELONGATION, canvas_shape, fit_length, lay_on_canvases
from pipeline.data.datasets.image_folder import ImageFolder
from pipeline.data.image_files.decode import read_square, read_whole
from pipeline.data.image_files.file_options import WHITE
from pipeline.data.image_files.store import ImageFiles, Store
from pipeline.data.image_files.store_writer import inspect_images, store_path
from pipeline.errors import DataError
from tests.support.image_files import file_options, reading
from tests.support.selections import ReaderSelection, select_part

SIDE, SIZE = 32, 24
# Height and width of files whose shorter side is that of the canvas, so that nothing is resized.
SHAPES = [(32, 32), (32, 50), (61, 32), (32, 96), (96, 32)]
RECIPE = ViewAugment((0.08, 1.0), 0.5, 0.8, 0.4, 0.4, 0.2, 0.1, 0.2, 0.5, 0.1)


def pixels(height: int, width: int) -> np.ndarray:
    """Return an image without a symmetry: smooth colors and some noise."""
    random = np.random.default_rng(1000 * height + width)
    coarse = Image.fromarray(random.integers(0, 256, (5, 4, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    return (smooth + random.integers(-9, 10, smooth.shape)).clip(0, 255).astype(np.uint8)


def write(folder: Path, shapes: list[tuple[int, int]]) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for number, shape in enumerate(shapes):
        names.append(f"{number}.png")
        Image.fromarray(pixels(*shape)).save(folder / names[-1])
    return names


def whole_files(root: Path, names: list[str], side: int = SIDE) -> ImageFiles:
    return ImageFiles(root, names, side, WHITE, "bicubic", "whole")


@pytest.fixture
def files(tmp_path: Path) -> ImageFiles:
    return whole_files(tmp_path / "images", write(tmp_path / "images", SHAPES))


def read_all(files: ImageFiles) -> Tensor:
    return torch.from_numpy(files[np.arange(len(files))].copy())


def plain(height: int, width: int) -> Tensor:
    """Return the image as a batch of one, float ``(1, 3, H, W)``."""
    return torch.tensor(pixels(height, width)).permute(2, 0, 1)[None] / 255


def test_a_canvas_holds_an_image_on_its_shorter_side_and_says_how_it_lay(files: ImageFiles) -> None:
    canvases = read_all(files)
    assert canvases.shape == (len(SHAPES), 3, *canvas_shape(SIDE))
    shapes = read_shapes(canvases)
    assert torch.stack([shapes.height(), shapes.width()]).T.tolist() == [list(s) for s in SHAPES]
    assert shapes.length.tolist() == [max(s) for s in SHAPES]
    for canvas, shape in zip(canvases, SHAPES, strict=True):
        image = torch.tensor(pixels(*shape)).permute(2, 0, 1)
        stood = image.mT if shape[1] > shape[0] else image
        assert torch.equal(canvas[:, 1 : 1 + max(shape)], stood)
        assert canvas[:, 1 + max(shape) :].count_nonzero() == 0


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("shape", [(70, 50), (50, 70), (20, 31), (31, 20), (40, 40)])
def test_the_shorter_side_is_resized_and_the_longer_one_in_proportion(
    shape: tuple[int, int], interpolation: str, tmp_path: Path
) -> None:
    write(tmp_path, [shape])
    found = read_whole(tmp_path / "0.png", SIDE, WHITE, interpolation)  # type: ignore[arg-type]
    longer = round(SIDE * max(shape) / min(shape))
    size = (SIDE, longer) if shape[0] > shape[1] else (longer, SIDE)
    how = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
    expected = np.asarray(Image.fromarray(pixels(*shape)).resize(size, how[interpolation]))
    assert found.in_proportion == longer
    assert found.wide == (shape[1] > shape[0])
    assert np.array_equal(found.pixels.swapaxes(0, 1) if found.wide else found.pixels, expected)


@pytest.mark.parametrize(
    ("shorter", "longer", "expected"),
    [
        (100, 100, (32, 32)),
        (100, 300, (96, 96)),
        (100, 301, (96, 96)),
        (100, 1000, (96, 320)),
        (4, 40_000_000, (96, 2**24)),
    ],
)
def test_the_length_on_a_canvas_is_bounded(
    shorter: int, longer: int, expected: tuple[int, int]
) -> None:
    assert fit_length(SIDE, shorter, longer) == expected


def test_crops_are_chosen_as_for_images_of_one_shape() -> None:
    count = 200
    for height, width in [*SHAPES, (32, 400), (2000, 32)]:
        for scale in ((0.08, 1.0), (0.9, 1.0)):
            one, other = CropNumbers(1, count), CropNumbers(1, count)
            for numbers in (one, other):
                numbers.draw_view(0, scale, torch.Generator().manual_seed(7))
            sides = [torch.full((count,), float(side)) for side in (height, width)]
            found = choose_crops(one.numbers()[:, 0], *sides)
            assert torch.equal(found.long(), other.crops(height, width)[:, 0])


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("mirrored", [False, True])
def test_crops_of_whole_images_are_those_of_the_images_alone(
    files: ImageFiles, mirrored: bool, interpolation: str
) -> None:
    canvases = read_all(files)
    shapes = read_shapes(canvases)
    boxes = [
        torch.tensor([h // 5, w // 7, h - h // 4 - h // 5, w - w // 3 - w // 7]) for h, w in SHAPES
    ]
    flips = torch.full((len(SHAPES),), mirrored)
    found = crop_whole(
        canvases[:, :, 1:] / 255,
        shapes,
        torch.stack(boxes, dim=1).float(),
        SIZE,
        flips,
        interpolation,  # type: ignore[arg-type]
    )
    for view, box, shape in zip(found, boxes, SHAPES, strict=True):
        top, left, height, width = box[:, None].unbind()
        (expected,) = resized_crop(
            plain(*shape), top, left, height, width, SIZE, flips[:1], interpolation
        )
        torch.testing.assert_close(view, expected, rtol=0, atol=1e-5)


def test_the_ends_of_a_long_image_are_seen_and_in_its_proportions(tmp_path: Path) -> None:
    """A file eight times as long as wide: squeezed on the canvas, cropped as it is."""
    names = write(tmp_path, [(SIDE, 8 * SIDE), (8 * SIDE, SIDE)])
    for number, name in enumerate(names):
        image = np.zeros((SIDE, 8 * SIDE, 3), np.uint8)
        image[:, -SIDE:] = 255
        Image.fromarray(image if number == 0 else image.swapaxes(0, 1)).save(tmp_path / name)
    canvases = read_all(whole_files(tmp_path, names))
    shapes = read_shapes(canvases)
    assert shapes.length.tolist() == [MAX_ELONGATION * SIDE] * 2
    assert shapes.in_proportion.tolist() == [8 * SIDE] * 2
    # The last square, and the last but one, of the picture as it is.
    for start, value in ((7 * SIDE, 1.0), (6 * SIDE - 8, 0.0)):
        box = torch.tensor([[0, start], [start, 0], [SIDE, SIDE], [SIDE, SIDE]])
        found = crop_whole(canvases[:, :, 1:] / 255, shapes, box.float(), SIZE)
        middle = found[:, :, 4:-4, 4:-4]
        assert (middle - value).abs().max() < 0.02, start
    # The views are finite however thin a crop is on the canvas.
    augment = Augment([RECIPE], SIZE, [0.0] * 3, [1.0] * 3, whole=True)
    (views,) = augment(canvases.repeat(30, 1, 1, 1), torch.Generator().manual_seed(0))
    assert views.isfinite().all()


def test_of_an_image_a_thousand_times_as_long_all_crops_are_finite(tmp_path: Path) -> None:
    Image.new("RGB", (20_000, 4), (200, 100, 50)).save(tmp_path / "thin.png")
    canvases = read_all(whole_files(tmp_path, ["thin.png"])).repeat(50, 1, 1, 1)
    recipe = ViewAugment((0.08, 1.0), 0.5, 0, 0, 0, 0, 0, 0, 0, 0, interpolation="bicubic")
    augment = Augment([recipe], SIZE, [0.0] * 3, [1.0] * 3, whole=True)
    (views,) = augment(canvases, torch.Generator().manual_seed(0))
    expected = torch.tensor([200, 100, 50])[:, None, None] / 255
    torch.testing.assert_close(views, expected.expand_as(views), rtol=0, atol=0.01)


def test_evaluation_sees_the_center_of_an_image_resized_by_its_shorter_side(
    files: ImageFiles,
) -> None:
    augment = Augment((), SIZE, [0.5] * 3, [0.25] * 3, whole=True)
    found = augment.normalize(read_all(files)) * 0.25 + 0.5
    for view, (height, width) in zip(found, SHAPES, strict=True):
        top, left = (height - SIZE) // 2, (width - SIZE) // 2
        expected = plain(height, width)[0, :, top : top + SIZE, left : left + SIZE]
        torch.testing.assert_close(view, expected, rtol=0, atol=1e-6)
    squares = [read_square(files.root / name, SIDE, WHITE, "bicubic") for name in files.paths]
    kept = torch.tensor(np.stack(squares)).permute(0, 3, 1, 2) / 255
    assert (augment.crop_centers(read_all(files), SIDE) - kept).abs().mean() < 0.02


def test_views_of_squares_are_the_same_on_canvases() -> None:
    images = torch.randint(0, 256, (6, 3, SIDE, SIDE), dtype=torch.uint8)
    canvases = torch.from_numpy(lay_on_canvases(images.numpy()).copy())
    made = []
    for batch, whole in ((images, False), (canvases, True)):
        augment = Augment([RECIPE, RECIPE], SIZE, [0.5] * 3, [0.25] * 3, whole=whole)
        made.append(augment(batch, torch.Generator().manual_seed(3)))
    for view, same in zip(*made, strict=True):
        torch.testing.assert_close(view, same, rtol=0, atol=1e-4)


def test_two_processes_make_the_views_of_one(files: ImageFiles) -> None:
    canvases = read_all(files)[:4]

    def make(images: Tensor, rank: int, processes: int) -> list[Tensor]:
        augment = Augment([RECIPE], SIZE, [0.5] * 3, [0.25] * 3, rank, processes, whole=True)
        stream = ViewStream(augment, torch.Generator().manual_seed(3))
        return [stream(images)[0] for _ in range(9)]

    alone = make(canvases, 0, 1)
    parts = zip(make(canvases[:2], 0, 2), make(canvases[2:], 1, 2), strict=True)
    for view, both in zip(alone, parts, strict=True):
        torch.testing.assert_close(view, torch.cat(both), rtol=0, atol=1e-5)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_store_and_files_give_the_same_whole_images(
    files: ImageFiles, workers: int, tmp_path: Path
) -> None:
    place = store_path(tmp_path / "scratch", "f" * 64, files)
    assert inspect_images(files, place, 2, keep=True).bad == {}
    store, expected = Store(place, len(files), SIDE, "whole"), read_all(files)
    assert np.array_equal(store[np.array([4, 0, 0, 2])], expected[[4, 0, 0, 2]].numpy())
    for whole in (files, store):
        images = Images(ReaderSelection(whole, processes=workers))
        assert torch.equal(torch.cat(list(ordered_batches(images, 2))), expected)


def test_a_damaged_byte_of_a_whole_image_is_noticed(files: ImageFiles, tmp_path: Path) -> None:
    place = store_path(tmp_path / "scratch", "f" * 64, files)
    inspect_images(files, place, 2, keep=True)
    store = Store(place, len(files), SIDE, "whole")
    for offset in (0, 2, 3 * SIDE, 3000):  # the header's parts, the first pixel, a later one
        with place.open("r+b") as file:
            file.seek(store.row + offset)
            byte = file.read(1)[0]
            file.seek(store.row + offset)
            file.write(bytes([byte ^ 1]))
            with pytest.raises(DataError, match="image 1 is damaged"):
                file.flush()
                store[np.array([0, 1])]
            file.seek(store.row + offset)
            file.write(bytes([byte]))
    assert np.array_equal(store[np.array([1])], files[np.array([1])])


def test_a_store_of_whole_images_takes_the_room_that_they_fill(tmp_path: Path) -> None:
    shapes = [(128, 128)] * 8
    files = whole_files(tmp_path / "images", write(tmp_path / "images", shapes), 128)
    place = store_path(tmp_path / "scratch", "f" * 64, files)
    inspect_images(files, place, 2, keep=True)
    status = place.stat()
    assert status.st_size == Store(place, 8, 128, "whole").total
    if os.uname().sysname == "Linux":  # its usual file systems keep no room for holes
        assert 512 * status.st_blocks < 1.2 * 8 * 3 * 128**2


def test_memory_does_not_grow_with_the_number_of_whole_images(tmp_path: Path) -> None:
    count, batch = 5_000, 4
    path = tmp_path / "large.uint8"
    store = Store(path, count, 128, "whole")
    with path.open("wb") as file:
        file.truncate(store.total)
    images = Images(ReaderSelection(store))
    tracemalloc.start()
    for number, found in enumerate(training_batches(images, TaskOrder(count, batch, 1, 0, 1))):
        assert found.shape == (batch, 3, *canvas_shape(128))
        if number == 20:
            break
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * batch * store.row


def test_stores_of_squares_and_of_whole_images_have_names_of_their_own(tmp_path: Path) -> None:
    for folder in ("train/a", "train/b", "test/a", "test/b"):
        write(tmp_path / "images" / folder, [(40, 60), (60, 40)])
    places, shapes = set(), []
    for keep, interpolation in (
        ("square", "bilinear"),
        ("square", "bicubic"),
        ("whole", "bicubic"),
    ):
        options = file_options(keep=keep, interpolation=interpolation)
        source = ImageFolder(tmp_path / "images", options, reading(tmp_path / "scratch"))
        reader = select_part(source, "train").reader()
        places.add(reader.path)  # type: ignore[attr-defined]
        shapes.append(reader[np.arange(4)].shape)
    assert len(places) == 3
    assert shapes == [(4, 3, 16, 16), (4, 3, 16, 16), (4, 3, 49, 16)]


def test_a_whole_image_of_one_color_is_found(tmp_path: Path) -> None:
    names = write(tmp_path / "images", [(32, 40), (40, 32)])
    Image.new("RGB", (50, 90), (3, 3, 3)).save(tmp_path / "images/plain.png")
    files = whole_files(tmp_path / "images", [*names, "plain.png"])
    place = store_path(tmp_path / "scratch", "f" * 64, files)
    assert inspect_images(files, place, 1, keep=False).plain == [2]
