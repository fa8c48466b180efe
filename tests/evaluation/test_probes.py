"""The probes on features: against formulas, by hand, and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from pipeline.errors import RunError
from pipeline.evaluation import solver as solver_module
from pipeline.evaluation.base import Probe
from pipeline.evaluation.few_labels import FewLabels, draw_labelled
from pipeline.evaluation.knn import KNearestNeighbours
from pipeline.evaluation.nearest_mean import NearestMean
from pipeline.evaluation.solver import TOLERANCE, Solver, fit
from pipeline.evaluation.standardization import standardized
from pipeline.metrics.accuracy import task_agnostic, task_aware


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def overlapping(count: int, seed: int, classes: int = 4, width: int = 6) -> tuple[Tensor, Tensor]:
    """Classes that no classifier tells apart, on features of unlike scales."""
    centres = 1.2 * torch.randn(classes, width, generator=stream(99))
    labels = torch.arange(count) % classes
    features = centres[labels] + torch.randn(count, width, generator=stream(seed))
    return features * torch.logspace(-2, 2, width) + 5, labels


def scores_of(
    probe: Probe, train: tuple[Tensor, Tensor], test: Tensor, classes: int | None = None
) -> Tensor:
    classes = classes or int(train[1].max()) + 1
    return probe.scores(*train, test, classes, stream())


@pytest.mark.parametrize("l2", [1e-4, 1e-2, 1.0])
def test_the_solver_finds_what_scikit_learn_finds(l2: float) -> None:
    train, test = overlapping(400, 1), overlapping(1000, 2)
    ours = scores_of(Solver(l2=l2), train, test[0])
    x, y = standardized(train[0].double(), test[0].double())
    theirs = LogisticRegression(C=1 / (l2 * len(x)), tol=1e-8, max_iter=10_000)
    theirs.fit(x.numpy(), train[1].numpy())
    expected = 100 * theirs.score(y.numpy(), test[1].numpy())
    assert 40 < expected < 99
    assert task_agnostic(ours, test[1]) == pytest.approx(expected, abs=0.3)
    logits = theirs.decision_function(y.numpy())
    centred = (ours - ours.mean(dim=1, keepdim=True)).numpy()
    np.testing.assert_allclose(centred, logits - logits.mean(axis=1, keepdims=True), atol=2e-3)


def test_the_solver_converges_where_the_classes_are_told_apart_and_features_repeat() -> None:
    features, labels = overlapping(60, 1)
    features = torch.cat(
        [1000 * torch.nn.functional.one_hot(labels).float(), features, features], 1
    )
    features = torch.cat([features, torch.full((60, 1), 0.1)], dim=1)
    found = scores_of(Solver(l2=1e-4), (features, labels), features)
    assert found.dtype == torch.float64
    assert task_agnostic(found, labels) == 100


@pytest.mark.parametrize("count", [200, 5])
def test_the_gradient_at_the_solution_is_zero(count: int) -> None:
    features, labels = overlapping(count, 1)
    x, _ = standardized(features.double(), features.double())
    weight, bias = fit(x, labels, 4, 0.01, "l2")
    shares = torch.softmax(x @ weight.T + bias, dim=1)
    wrong = (shares - torch.nn.functional.one_hot(labels)) / len(x)
    assert (wrong.T @ x + 0.01 * weight).abs().max() <= TOLERANCE
    assert wrong.sum(dim=0).abs().max() <= TOLERANCE


def test_a_solver_that_does_not_converge_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solver_module, "MAX_ITERATIONS", 3)
    with pytest.raises(
        RunError, match=r"not converge in 3 iterations.*raise evaluation\.solver\.l2"
    ):
        scores_of(Solver(l2=1e-6), overlapping(200, 1), overlapping(5, 2)[0])


def test_features_that_are_not_finite_are_one_clear_error() -> None:
    features, labels = overlapping(200, 1)
    features[3, 2] = float("nan")
    with pytest.raises(RunError):
        fit(features.double(), labels, 4, 0.01, "l2")


def test_neighbours_vote_by_the_formula() -> None:
    train, labels = overlapping(50, 1)
    test, _ = overlapping(7, 2)
    found = scores_of(KNearestNeighbours(k=9, temperature=0.2), (train, labels), test)
    x, y, classes = train.double().numpy(), test.double().numpy(), labels.numpy()
    for image, shares in zip(y, found.numpy(), strict=True):
        cosine = [image @ other / np.linalg.norm(image) / np.linalg.norm(other) for other in x]
        votes = np.zeros(4)
        for near in sorted(range(50), key=lambda place: -cosine[place])[:9]:
            votes[classes[near]] += np.exp(cosine[near] / 0.2)
        nearest = [
            max(c for c, each in zip(cosine, classes, strict=True) if each == k) for k in range(4)
        ]
        expected = np.where(votes > 0, votes / votes.sum(), np.array(nearest) - 2)
        np.testing.assert_allclose(shares, expected, rtol=1e-4, atol=1e-6)


def test_without_a_neighbour_of_the_task_its_nearest_image_decides() -> None:
    """Classes 0 and 1 are the task's, and all neighbours are of class 2."""
    angles = torch.tensor([0.0, 0.1, 0.2, 1.5, 1.0])
    train = torch.stack([angles.cos(), angles.sin()], dim=1)
    labels = torch.tensor([2, 2, 2, 0, 1])
    found = scores_of(KNearestNeighbours(k=2, temperature=0.1), (train, labels), train[:1])
    assert found.argmax(dim=1).item() == 2
    assert task_aware(found, torch.tensor([1]), [0, 1]) == 100
    assert found[0, 0].item() == pytest.approx(np.cos(1.5) - 2, abs=1e-6)
    # A class without images is behind all others.
    more = scores_of(KNearestNeighbours(k=2, temperature=0.1), (train, labels), train[:1], 4)
    assert more.argmin(dim=1).item() == 3


def test_neighbours_survive_a_low_temperature_and_features_of_zero() -> None:
    train, labels = overlapping(50, 1)
    train[0] = 0
    test = torch.cat([torch.zeros(1, 6), train[1:5]])
    found = scores_of(KNearestNeighbours(k=50, temperature=0.001), (train, labels), test)
    assert found.isfinite().all()
    assert found[1:].argmax(dim=1).tolist() == labels[1:5].tolist()


def test_where_there_are_fewer_images_than_neighbours_all_vote() -> None:
    images, test = overlapping(50, 1), overlapping(8, 2)[0]
    more, all_of_them = (
        scores_of(KNearestNeighbours(k=k, temperature=0.1), images, test) for k in (51, 50)
    )
    assert torch.equal(more, all_of_them)


def test_the_nearest_mean_is_that_of_unit_vectors() -> None:
    # Class 0: (1, 0) and (0, 1), however long; class 1: (-1, 0).
    train = torch.tensor([[5.0, 0.0], [0.0, 0.1], [-3.0, 0.0]])
    labels = torch.tensor([0, 0, 1])
    test = torch.tensor([[2.0, 2.0], [-1.0, 1.0], [-1.0, 0.0]])
    found = NearestMean().scores(train, labels, test, 3, stream())
    half = 0.5**0.5
    # The mean direction of class 0 is the diagonal; class 2 has no image.
    expected = torch.tensor([[1.0, -half, -2.0], [0.0, half, -2.0], [-half, 1.0, -2.0]])
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(("wanted", "each"), [(0.01, 1), (0.1, 4), (0.25, 10), (3, 3), (40, 40)])
def test_few_labels_are_as_many_of_each_class(wanted: float, each: int) -> None:
    labels = torch.arange(160) % 4
    drawn = draw_labelled(labels, 4, wanted, stream())
    assert labels[drawn].bincount().tolist() == [each] * 4
    assert len(set(drawn.tolist())) == 4 * each


def test_few_labels_are_the_same_for_the_same_stream_alone() -> None:
    labels = torch.arange(400) % 4
    first = draw_labelled(labels, 4, 5, stream())
    assert torch.equal(draw_labelled(labels, 4, 5, stream()), first)
    assert not torch.equal(draw_labelled(labels, 4, 5, stream(1)), first)


def test_of_a_class_with_fewer_images_than_wanted_all_are_drawn() -> None:
    labels = torch.tensor([0, 0, 0, 1])
    assert labels[draw_labelled(labels, 2, 2, stream())].tolist() == [0, 0, 1]


def test_few_labels_learn_from_the_drawn_images_alone() -> None:
    train, labels = overlapping(400, 1)
    test, _ = overlapping(20, 2)
    found = scores_of(FewLabels(labels=5, l2=0.01), (train, labels), test)
    drawn = draw_labelled(labels, 4, 5, stream())
    wrong = torch.full_like(labels, 3)
    wrong[drawn] = labels[drawn]
    x, y = standardized(train.double(), test.double())
    weight, bias = fit(x[drawn], wrong[drawn], 4, 0.01, "l2")
    torch.testing.assert_close(found, y @ weight.T + bias)


def test_accuracy_is_the_share_of_correct_predictions_in_percent() -> None:
    # Predictions 0, 1, 2 and 2, of which the last is wrong: class 1 was meant.
    scores = torch.tensor([[3.0, 1, 0], [0, 1, 0], [0, 0, 9], [0, 1, 2]])
    assert task_agnostic(scores, torch.tensor([0, 1, 2, 1])) == 75
    assert task_agnostic(scores, torch.tensor([1, 2, 0, 0])) == 0
    assert isinstance(task_agnostic(scores, torch.tensor([0, 1, 2, 2])), float)


def test_a_task_aware_prediction_is_one_of_its_task_s_classes() -> None:
    scores = torch.tensor([[1.0, 5, 2], [3, 0, 9]])
    # Without class 1 the first image goes to class 2; without 2, the second goes to class 0.
    assert task_aware(scores, torch.tensor([2, 0]), [0, 2]) == 50
    assert task_aware(scores, torch.tensor([1, 0]), [0, 1]) == 100
    assert task_agnostic(scores, torch.tensor([1, 0])) == 50


@pytest.mark.parametrize("seed", range(5))
def test_to_know_the_task_never_hurts(seed: int) -> None:
    # Whole numbers: many scores are equal.
    scores = torch.randint(0, 3, (200, 6), generator=stream(seed)).float()
    classes = [4, 1, 2]
    labels = torch.tensor(classes)[torch.randint(0, 3, (200,), generator=stream(seed))]
    assert task_aware(scores, labels, classes) >= task_agnostic(scores, labels)
