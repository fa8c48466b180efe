"""Features from files to a map."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save

from pipeline.errors import RunError
from pipeline.reporting.feature_map import POINTS, principal_plane, scatter
from pipeline.reporting.features import content, read_features
from pipeline.state import save_state


def write(path: Path, **changes: object) -> None:
    """Write features as the evaluation does."""
    tensors = {
        "features": torch.arange(12, dtype=torch.float32).reshape(4, 3),
        "labels": torch.tensor([0, 1, 0, 1]),
        "tasks": torch.tensor([1, 1, 2, 2]),
    }
    save_state(path, tensors, {"after_task": 2, "plan": "p", **changes})  # type: ignore[dict-item]


def test_features_come_back_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "task_2.safetensors"
    write(path)
    found = read_features(path, 2, "p")
    assert found is not None
    assert found.features.tolist() == np.arange(12.0).reshape(4, 3).tolist()
    assert found.labels.tolist() == [0, 1, 0, 1]
    assert found.tasks.tolist() == [1, 1, 2, 2]


def test_no_file_is_no_features(tmp_path: Path) -> None:
    assert read_features(tmp_path / "task_2.safetensors", 2, "p") is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"plan": "q"}, "has plan q, expected p; run `cassle evaluate 2`"),
        ({"after_task": 1}, "has after_task 1, expected 2"),
        ({"format": 2}, "has format 2, expected 1"),
        ({"content": "0"}, "do not match its checksum"),
    ],
)
def test_features_of_something_else_are_refused(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    path = tmp_path / "task_2.safetensors"
    write(path, **changes)
    with pytest.raises(RunError, match=said):
        read_features(path, 2, "p")


@pytest.mark.parametrize("text", [b"null\n", b"", b"x" * 100])
def test_a_file_that_holds_no_features_is_refused(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "task_2.safetensors"
    path.write_bytes(text)
    with pytest.raises(RunError, match="holds no features or is damaged"):
        read_features(path, 2, "p")


def test_arrays_of_other_types_and_shapes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "task_2.safetensors"
    write(path)
    arrays = load_file(path)
    for name, other, said in (
        ("tasks", arrays["tasks"].astype(np.int32), "expected .*'tasks': 'int64'"),
        ("tasks", arrays["tasks"][:2], "holds shapes"),
    ):
        changed = arrays | {name: other}
        header = {"format": 1, "after_task": 2, "plan": "p", "content": content(changed)}
        path.write_bytes(save(changed, metadata={"cassle": json.dumps(header)}))
        with pytest.raises(RunError, match=said):
            read_features(path, 2, "p")


def test_the_plane_is_that_of_the_singular_value_decomposition() -> None:
    features = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)
    features[:, 2] *= 10
    points, shares = principal_plane(features)
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
    points, shares = principal_plane(np.ones(shape, np.float32))
    assert points.shape == (shape[0], 2)
    assert np.isfinite(points).all()
    assert shares == [0, 0]
    assert "nan" not in scatter("m", "t", "d", points, np.zeros(shape[0], np.int64), ["one"])


def test_of_many_points_an_even_choice_is_drawn() -> None:
    points = np.random.default_rng(0).normal(size=(3 * POINTS, 2))
    groups = np.arange(3 * POINTS) % 3
    drawn = scatter("m", "t", "d", points, groups, ["a", "b", "c"])
    assert str(drawn).count("h0") == POINTS
    assert "var(--series-3)" in drawn
