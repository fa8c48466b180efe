"""Features that are kept: served for the same state and images alone, and never too many."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pipeline.evaluation import feature_cache
from pipeline.evaluation.feature_cache import FeatureCache
from pipeline.files.sealed_json import Json

CPU = torch.device("cpu")


def draw_features(seed: int, count: int = 5) -> Tensor:
    return torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))


def open_cache(folder: Path, how: Json | None = None) -> FeatureCache:
    return FeatureCache(folder, {"backbone": "tiny"} if how is None else how, CPU)


def never() -> Tensor:
    pytest.fail("extracted again")


def held(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"), key=lambda path: path.stat().st_mtime)


def test_features_are_extracted_once_and_come_back_bit_for_bit(tmp_path: Path) -> None:
    features = draw_features(0)
    assert open_cache(tmp_path).find("state", "images") is None
    assert open_cache(tmp_path).extract("state", "images", lambda: features) is features
    found = open_cache(tmp_path).extract("state", "images", never)
    assert torch.equal(found, features)
    assert found.dtype == torch.float32
    again = open_cache(tmp_path).find("state", "images")
    assert again is not None
    assert torch.equal(again, features)


def test_features_of_another_state_or_other_images_are_not_served(tmp_path: Path) -> None:
    cache = open_cache(tmp_path)
    cache.extract("state", "images", lambda: draw_features(0))
    for state, images in (("another", "images"), ("state", "others"), ("images", "state")):
        assert cache.find(state, images) is None
        seed = len(held(tmp_path))
        cache.extract(state, images, lambda seed=seed: draw_features(seed))
    assert len(held(tmp_path)) == 4
    assert torch.equal(cache.extract("state", "images", never), draw_features(0))
    assert torch.equal(cache.extract("state", "others", never), draw_features(2))


def test_features_that_were_extracted_in_another_way_are_not_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_cache(tmp_path).extract("state", "images", lambda: draw_features(0))
    assert open_cache(tmp_path, {"backbone": "large"}).find("state", "images") is None
    cuda = FeatureCache(tmp_path, {"backbone": "tiny"}, torch.device("cuda"))
    assert cuda.find("state", "images") is None
    with monkeypatch.context() as patch:
        patch.setattr(torch, "get_num_threads", lambda: 77)
        assert open_cache(tmp_path).find("state", "images") is None
    with monkeypatch.context() as patch:
        patch.setattr(feature_cache, "version", lambda name: "0.1")
        assert open_cache(tmp_path).find("state", "images") is None
    assert open_cache(tmp_path).find("state", "images") is not None


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    "damage",
    [
        flip,
        lambda path: path.write_bytes(path.read_bytes()[:-3]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text("null\n"),
        Path.unlink,
    ],
    ids=["flipped", "cut", "empty", "null", "gone"],
)
def test_damaged_features_are_extracted_again_and_mended(
    damage: Callable[[Path], object], tmp_path: Path
) -> None:
    cache, features = open_cache(tmp_path), draw_features(0)
    cache.extract("state", "images", lambda: features)
    (path,) = held(tmp_path)
    whole = path.read_bytes()
    damage(path)
    assert cache.find("state", "images") is None
    assert torch.equal(cache.extract("state", "images", lambda: features), features)
    assert path.read_bytes() == whole


def test_what_was_used_longest_ago_goes_beyond_the_size_that_all_may_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = open_cache(tmp_path)
    for number in range(3):
        cache.extract("state", str(number), lambda number=number: draw_features(number))
        os.utime(held(tmp_path)[-1], (number, number))
    size = held(tmp_path)[0].stat().st_size
    monkeypatch.setattr(feature_cache, "MAX_BYTES", 3 * size)
    # The first was used just now, so the second is the one that was used longest ago.
    assert cache.find("state", "0") is not None
    cache.extract("state", "3", lambda: draw_features(3))
    assert [cache.find("state", str(number)) is not None for number in range(4)] == [
        True, False, True, True,
    ]  # fmt: skip
    assert sum(path.stat().st_size for path in held(tmp_path)) <= 3 * size


def test_nothing_goes_as_long_as_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = open_cache(tmp_path)
    cache.extract("state", "0", lambda: draw_features(0))
    monkeypatch.setattr(feature_cache, "MAX_BYTES", 2 * held(tmp_path)[0].stat().st_size)
    cache.extract("state", "1", lambda: draw_features(1))
    assert len(held(tmp_path)) == 2


def test_where_nothing_can_be_kept_features_are_extracted_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    cache = open_cache(tmp_path / "file")
    for _ in range(2):
        features = cache.extract("state", "images", lambda: draw_features(0))
        assert torch.equal(features, draw_features(0))
    assert cache.find("state", "images") is None
