"""The sheet of views: what is on it, and when it is drawn anew."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline import layout
from pipeline.artifacts.plans.files import plan_digest, require_plan
from pipeline.artifacts.plans.views import ViewsPlan
from pipeline.artifacts.split import read_splits
from pipeline.artifacts.view_sheet import describe_sheet, read_view_strips, write_view_sheet
from pipeline.data.augmentation.augment import Augment
from pipeline.data.augmentation.sample_views import (
    GAP,
    MAX_IMAGES,
    MAX_SIDE,
    choose_images,
    draw_strip,
    images_per_task,
)
from pipeline.data.augmentation.view_augment import ViewAugment
from pipeline.data.canvas import lay_on_canvases
from pipeline.errors import RunError
from pipeline.stages import views
from tests.support.params import SMALL_FILES, Changes
from tests.support.project import Project

PLAIN = ViewAugment((1.0, 1.0), 0, 0, 0, 0, 0, 0, 0, 0, 0)
FLIPPED = ViewAugment((1.0, 1.0), 1, 0, 0, 0, 0, 0, 0, 0, 0)


def draw_images(count: int, channels: int = 1, size: int = 12) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    shape = (count, channels, size, size)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


def make_strip(images: torch.Tensor, *recipes: ViewAugment, seed: int = 0) -> np.ndarray:
    channels, size = images.shape[1], images.shape[-1]
    augment = Augment(recipes, size, [0.3] * channels, [0.4] * channels)
    return draw_strip(augment, images, torch.Generator().manual_seed(seed))


def cell(strip: np.ndarray, row: int, column: int, size: int) -> np.ndarray:
    step = size + GAP
    return strip[row * step : row * step + size, column * step : column * step + size]


@pytest.mark.parametrize("channels", [1, 3])
def test_images_stand_above_their_views_which_are_normalised_back(channels: int) -> None:
    images = draw_images(4, channels)
    strip = make_strip(images, PLAIN, FLIPPED)
    assert strip.dtype == np.uint8
    assert strip.shape == (3 * (12 + GAP), 4 * (12 + GAP), 4)
    for column, image in enumerate(images.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy()):
        assert (cell(strip, 0, column, 12)[..., :3] == image).all()
        assert (cell(strip, 1, column, 12)[..., :3] == image).all()
        assert (cell(strip, 2, column, 12)[..., :3] == image[:, ::-1]).all()


def test_gaps_are_transparent_and_images_are_not() -> None:
    strip = make_strip(draw_images(2), PLAIN, PLAIN)
    assert (cell(strip, 2, 1, 12)[..., 3] == 255).all()
    assert (strip[12 : 12 + GAP, :, 3] == 0).all()
    assert (strip[:, 12 : 12 + GAP, 3] == 0).all()


def test_the_generator_alone_decides_on_the_views() -> None:
    images = draw_images(3)
    recipe = ViewAugment((0.2, 1.0), 0.5, 0.8, 0.4, 0.4, 0, 0, 0, 0.5, 0.5)
    first = make_strip(images, recipe, recipe)
    assert (make_strip(images, recipe, recipe) == first).all()
    assert (make_strip(images, recipe, recipe, seed=1) != first).any()
    assert (cell(first, 1, 0, 12) != cell(first, 2, 0, 12)).any()


def test_large_images_are_shrunk_and_the_sheet_does_not_grow_with_the_tasks() -> None:
    strip = make_strip(draw_images(1, 3, 3 * MAX_SIDE), PLAIN, PLAIN)
    assert strip.shape[:2] == (3 * (MAX_SIDE + GAP), MAX_SIDE + GAP)
    assert images_per_task(1) == images_per_task(5) == 8
    assert all(tasks * images_per_task(tasks) <= MAX_IMAGES for tasks in range(1, 21))
    assert {images_per_task(tasks) for tasks in range(20, layout.MAX_TASKS + 1)} == {2}


def test_shown_images_are_spread_over_the_task_and_its_classes() -> None:
    assert choose_images(100, [], 4).tolist() == [0, 25, 50, 75]
    assert choose_images(3, [], 8).tolist() == [0, 1, 2]
    two = choose_images(100, [7] * 50 + [3] * 50, 4)
    assert two.tolist() == [50, 75, 0, 25]  # class by class
    # More classes than images: at even distances.
    many = choose_images(400, [label for label in range(100) for _ in range(4)], 4)
    assert many.tolist() == [0, 100, 200, 300]
    # A class with fewer images than its share leaves them to others.
    assert choose_images(10, [0] + [1] * 9, 6).tolist() == [0, 1, 2, 4, 6, 8]
    for most in range(1, 12):
        chosen = choose_images(10, [0, 1, 2, 0, 1, 2, 0, 1, 2, 0], most)
        assert len(set(chosen.tolist())) == len(chosen) == min(most, 10)


def test_a_task_of_fewer_images_than_the_sheet_shows_has_a_narrower_strip(
    project: Project, tmp_path: Path
) -> None:
    for name, count in (("a", 24), ("b", 5)):
        folder = tmp_path / "few" / name
        folder.mkdir(parents=True)
        for number in range(count):
            pixels = np.full((16, 16, 3), 10 * number, np.uint8)
            Image.fromarray(pixels).save(folder / f"{number:02}.png")
    project.set({**SMALL_FILES, "data.root": str(tmp_path / "few"), "num_tasks": 2})
    project.set({"train.batch_size": 4, "evaluation.knn.k": 1})
    project.train_through(0)
    project.must("evaluate", "0")
    made_from = describe_sheet(plan_digest(require_plan(ViewsPlan, "views")), read_splits(2))
    strips = read_view_strips(layout.VIEWS, 2, made_from)
    assert strips is not None
    opaque = [np.asarray(Image.open(io.BytesIO(png)))[0, :, 3] > 0 for png in strips]
    assert sorted(line.sum() // 16 for line in opaque) == [4, 8]


def test_a_sheet_is_cut_into_the_strips_that_it_was_made_of(tmp_path: Path) -> None:
    strips = [make_strip(draw_images(2), PLAIN, PLAIN, seed=seed) for seed in range(3)]
    path = tmp_path / "views.png"
    write_view_sheet(path, strips, "p")
    found = read_view_strips(path, 3, "p")
    assert found is not None
    for png, strip in zip(found, strips, strict=True):
        assert (np.asarray(Image.open(io.BytesIO(png))) == strip).all()
    with pytest.raises(RunError, match=r"of another plan .*; run `cassle evaluate` first"):
        read_view_strips(path, 3, "q")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(RunError, match="is no image or is damaged"):
        read_view_strips(path, 3, "p")
    assert read_view_strips(tmp_path / "none.png", 3, "p") is None


def test_the_stage_draws_every_task_the_same_each_time(project: Project) -> None:
    project.trained(0)
    project.must("evaluate", "0")
    first = layout.VIEWS.read_bytes()
    made_from = describe_sheet(plan_digest(require_plan(ViewsPlan, "views")), read_splits(3))
    strips = read_view_strips(layout.VIEWS, 3, made_from)
    assert strips is not None
    assert len(set(strips)) == 3
    layout.VIEWS.unlink()
    project.set({"seed": 1})
    for stage in ("plan", "init"):
        project.must(stage)
    project.must("evaluate", "0")
    assert layout.VIEWS.read_bytes() == first


def test_a_sheet_of_the_same_views_and_images_is_left_as_it_is(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.trained(0)
    project.must("evaluate", "0")
    first = layout.VIEWS.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(views, "draw_strip", lambda *given: pytest.fail("drawn again"))
        project.must("evaluate", "0")
    project.set({"split_seed": 1})
    project.train_through(0)
    project.must("evaluate", "0")
    assert layout.VIEWS.read_bytes() != first, "the tasks hold other images"
    second = layout.VIEWS.read_bytes()
    layout.VIEWS.write_bytes(second[:-20])
    project.must("evaluate", "0")
    assert layout.VIEWS.read_bytes() == second, "the damaged sheet is drawn again"


@pytest.mark.parametrize(
    ("change", "anew"),
    [
        ({"augment.flip": 0.0}, True),
        ({"num_tasks": 2}, True),
        ({"seed": 1}, False),
        ({"strategy": "finetune"}, False),
        ({"method": "byol"}, False),
        ({"distill_weight": 0.5}, False),
    ],
)
def test_views_are_drawn_anew_only_for_other_views(
    project: Project, change: Changes, anew: bool
) -> None:
    project.must("plan")
    before = layout.plan("views").read_text()
    project.set(change)
    project.must("plan")
    assert (layout.plan("views").read_text() != before) == anew


def test_the_stage_says_what_is_missing(project: Project) -> None:
    project.must("plan")
    code, _, err = project.cassle("evaluate", "--planned")
    assert code == 2
    assert "run `cassle prepare` first" in err


def test_of_whole_images_the_central_squares_stand_above_their_views() -> None:
    squares = draw_images(3, channels=3)
    canvases = torch.from_numpy(lay_on_canvases(squares.numpy()).copy())
    augment = Augment([PLAIN, FLIPPED], 12, [0.3] * 3, [0.4] * 3, whole=True)
    strip = draw_strip(augment, canvases, torch.Generator().manual_seed(0))
    assert (strip == make_strip(squares, PLAIN, FLIPPED)).all()
