"""Signs of collapse: RankMe and the spread of projections."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.metrics.collapse import COLLAPSED_RANK, COLLAPSED_STD, projection_std, rankme
from tests.support.definitions import SHAPES, draw


def std_by_definition(z: Tensor) -> float:
    unit = [v / math.sqrt(sum(x * x for x in v)) for v in z.double().numpy()]
    columns = np.array(unit).T
    deviations = [math.sqrt(sum((c - c.mean()) ** 2) / len(c)) for c in columns]
    return math.sqrt(len(columns)) * sum(deviations) / len(columns)


def rank_by_definition(z: Tensor) -> float:
    values = np.linalg.svd(z.double().numpy(), compute_uv=False)
    shares = [value / sum(values) for value in values]
    return math.exp(-sum(share * math.log(share) for share in shares if share > 0))


@pytest.mark.parametrize(("count", "size", "scale"), SHAPES)
def test_both_signs_are_their_definitions(count: int, size: int, scale: float) -> None:
    z, _ = draw(count, size, scale)
    assert projection_std(z) == pytest.approx(std_by_definition(z), rel=1e-9)
    assert rankme(z) == pytest.approx(rank_by_definition(z), rel=1e-9)


@pytest.mark.parametrize("size", [2, 8, 64])
def test_vectors_in_all_directions_spread_by_one(size: int) -> None:
    z, _ = draw(4000, size)
    assert projection_std(z) == pytest.approx(1, abs=0.02)


def test_the_spread_does_not_depend_on_the_length_of_the_vectors() -> None:
    z, _ = draw(9, 6)
    lengths = torch.logspace(-2, 3, 9)[:, None]
    assert projection_std(z * lengths) == pytest.approx(projection_std(z), rel=1e-6)


def test_identical_vectors_do_not_spread() -> None:
    z = draw(1, 6)[0].expand(9, 6)
    assert projection_std(z) == pytest.approx(0, abs=1e-7)
    assert projection_std(z) < COLLAPSED_STD
    assert projection_std(torch.zeros(4, 3)) == 0


def test_vectors_along_one_line_have_rank_one() -> None:
    direction, lengths = draw(1, 6)[0], draw(9, 1)[0]
    assert rankme(lengths * direction) == pytest.approx(1, abs=1e-5)
    assert rankme(lengths * direction) < COLLAPSED_RANK
    assert rankme(direction) == pytest.approx(1)


@pytest.mark.parametrize(("count", "size"), [(3, 8), (8, 3), (5, 5)])
def test_orthogonal_vectors_have_full_rank(count: int, size: int) -> None:
    assert rankme(5 * torch.eye(count, size)) == pytest.approx(min(count, size))
    orthogonal, _ = torch.linalg.qr(draw(8, 8)[0])
    rows = orthogonal[:count]  # along no axis
    assert rankme(rows) == pytest.approx(count)
    assert rankme(rows.T) == pytest.approx(count)


@pytest.mark.parametrize("scale", [1e-20, 1e-3, 1e3, 1e20])
def test_the_rank_does_not_depend_on_the_scale(scale: float) -> None:
    z, _ = draw(9, 6)
    assert rankme(z * scale) == pytest.approx(rankme(z), rel=1e-5)


def test_vectors_that_are_all_zero_have_a_finite_rank_below_the_limit() -> None:
    rank = rankme(torch.zeros(4, 3))
    assert math.isfinite(rank)
    assert rank < COLLAPSED_RANK


@pytest.mark.parametrize("sign", [projection_std, rankme])
def test_signs_of_half_precision_vectors_are_close_and_need_no_gradient(
    sign: Callable[[Tensor], float],
) -> None:
    z = draw(16, 8)[0].requires_grad_()
    assert sign(z.bfloat16()) == pytest.approx(sign(z), rel=1e-2)


class OnMps(Tensor):
    """A tensor on Apple's GPU, which has no float64."""

    device = property(lambda self: SimpleNamespace(type="mps"))  # type: ignore[assignment]

    def double(self, *rest: object) -> Tensor:  # type: ignore[override]
        raise TypeError("mps has no float64")

    def cpu(self, *rest: object) -> Tensor:  # type: ignore[override]
        return self.as_subclass(Tensor)


@pytest.mark.parametrize("sign", [projection_std, rankme])
def test_signs_are_computed_on_the_cpu_where_the_device_has_no_float64(
    sign: Callable[[Tensor], float],
) -> None:
    z = draw(8, 6)[0]
    assert sign(z.as_subclass(OnMps)) == sign(z)
