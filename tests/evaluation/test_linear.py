"""The linear probe: training, standardization, and its accuracies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.evaluation import features as features_module
from pipeline.evaluation.features import extract
from pipeline.evaluation.linear import Linear, train_classifier
from pipeline.evaluation.standardization import standardization
from pipeline.metrics.accuracy import task_agnostic
from pipeline.models.small_resnet import SmallResNet
from pipeline.seeding import seeded_initialization


def schedule(
    epochs: int = 20, batch_size: int = 16, milestones: Sequence[int] = (), decay: float = 0.0
) -> Linear:
    return Linear(
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=0.1,
        milestones=milestones,
        weight_decay=decay,
        standardize=True,
    )


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def blobs(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Three classes far apart in four dimensions."""
    centres = 10 * torch.eye(3, 4)
    labels = torch.arange(count) % 3
    return centres[labels] + torch.randn(count, 4, generator=stream(seed)), labels


def by_numpy(
    x: NDArray[np.float64], labels: NDArray[np.int64], given: Linear
) -> NDArray[np.float64]:
    """Return weights and bias of full-batch softmax regression with momentum."""
    inputs = np.hstack([x, np.ones((len(x), 1))])
    wanted = np.eye(3)[labels]
    weights = np.zeros((3, inputs.shape[1]))
    velocity = np.zeros_like(weights)
    rate = given.learning_rate
    for epoch in range(given.epochs):
        if epoch in given.milestones:
            rate /= 10
        scores = np.exp(inputs @ weights.T)
        shares = scores / scores.sum(axis=1, keepdims=True)
        gradient = (shares - wanted).T @ inputs / len(x) + given.weight_decay * weights
        velocity = 0.9 * velocity + gradient
        weights = weights - rate * velocity
    return weights


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_training_on_all_images_at_once_is_softmax_regression(decay: float) -> None:
    features, labels = blobs(30)
    features = features / 10
    given = schedule(epochs=9, batch_size=30, milestones=[3, 6], decay=decay)
    classifier = train_classifier(features, labels, 3, given, stream())
    expected = by_numpy(features.double().numpy(), labels.numpy(), given)
    found = torch.cat([classifier.weight, classifier.bias[:, None]], dim=1).detach()
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("milestones", [[4, 2], [2, 2]])
def test_training_by_batches_is_that_of_torch(milestones: list[int]) -> None:
    features, labels = blobs(37)
    features = features / 10
    given = schedule(epochs=6, batch_size=8, milestones=milestones, decay=0.1)
    found = train_classifier(features, labels, 4, given, stream())  # no image is of class 3
    expected = nn.Linear(4, 4)
    for parameter in expected.parameters():
        nn.init.zeros_(parameter)
    optimizer = torch.optim.SGD(expected.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    decay = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones)
    order = stream()
    for _ in range(6):
        for batch in torch.randperm(37, generator=order).split(8):
            optimizer.zero_grad()
            torch.autograd.backward(
                nn.functional.cross_entropy(expected(features[batch]), labels[batch])
            )
            optimizer.step()
        decay.step()
    torch.testing.assert_close(found.weight, expected.weight, rtol=0, atol=1e-6)
    torch.testing.assert_close(found.bias, expected.bias, rtol=0, atol=1e-6)


def test_separable_classes_are_told_apart() -> None:
    classifier = train_classifier(*blobs(200), 3, schedule(), stream())
    features, labels = blobs(100, seed=1)
    assert task_agnostic(classifier(features), labels) == 100


def test_the_probe_standardises_both_parts_by_the_training_features() -> None:
    train, labels = blobs(60)
    test, _ = blobs(20, seed=1)
    given = schedule(epochs=3)
    found = given.scores(100 + 7 * train, labels, 100 + 7 * test, 3, stream())
    centre, spread = standardization(100 + 7 * train)
    classifier = train_classifier((100 + 7 * train - centre) / spread, labels, 3, given, stream())
    assert torch.equal(found, classifier((100 + 7 * test - centre) / spread))
    plain = replace(given, standardize=False)
    classifier = train_classifier(train, labels, 3, given, stream())
    assert torch.equal(plain.scores(train, labels, test, 3, stream()), classifier(test))


def test_the_same_generator_gives_the_same_classifier() -> None:
    first, again, other = (
        train_classifier(*blobs(50), 3, schedule(epochs=3), stream(seed)) for seed in (0, 0, 1)
    )
    assert torch.equal(first.weight, again.weight)
    assert torch.equal(first.bias, again.bias)
    assert not torch.equal(first.weight, other.weight)


def test_training_draws_nothing_from_the_global_generator_that_matters() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        first = train_classifier(*blobs(50), 3, schedule(epochs=2), stream())
        torch.manual_seed(2)
        again = train_classifier(*blobs(50), 3, schedule(epochs=2), stream())
    assert torch.equal(first.weight, again.weight)


def test_a_class_without_images_can_be_an_output() -> None:
    classifier = train_classifier(*blobs(50), 7, schedule(epochs=2), stream())
    assert classifier.weight.shape == (7, 4)


def test_standardised_features_have_mean_zero_and_deviation_one() -> None:
    features = 5 + 3 * torch.randn(400, 6, generator=stream())
    centre, spread = standardization(features)
    standardised = ((features - centre) / spread).double()
    torch.testing.assert_close(standardised.mean(dim=0), torch.zeros(6).double(), rtol=0, atol=1e-5)
    squares = standardised.square().mean(dim=0)
    torch.testing.assert_close(squares, torch.ones(6).double(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("constant", [0.0, 0.1, 3.3333, 1e4])
def test_a_constant_feature_survives_standardization(constant: float) -> None:
    features, labels = blobs(100)
    features = torch.cat([features, torch.full((100, 1), constant)], dim=1)
    centre, spread = standardization(features)
    standardised = (features - centre) / spread
    assert spread[-1] == 1
    assert standardised.isfinite().all()
    assert standardised[:, -1].abs().max() <= 1e-6 * constant
    classifier = train_classifier(standardised, labels, 3, schedule(), stream())
    assert task_agnostic(classifier(standardised), labels) == 100


def test_a_constant_feature_survives_standardization_on_its_own() -> None:
    _, spread = standardization(torch.full((100, 1), 0.1))
    assert spread.tolist() == [1]


def tiny_backbone() -> SmallResNet:
    with seeded_initialization(0, "test"):
        backbone = SmallResNet(1, "conv3_stride2", widths=[4, 8], blocks=1)
    for _ in range(3):
        backbone(torch.rand(16, 1, 28, 28, generator=stream(5)))
    return backbone


def images(count: int) -> Tensor:
    shape = (count, 1, 28, 28)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=stream())


def scaled(batch: Tensor) -> Tensor:
    return batch.float() / 255


def test_extraction_leaves_the_backbone_as_it_was() -> None:
    backbone = tiny_backbone().train()
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    found = extract(backbone, images(10), scaled)
    assert all(torch.equal(tensor, before[name]) for name, tensor in backbone.state_dict().items())
    assert found.shape == (10, 8)
    assert found.dtype == torch.float32
    assert not found.requires_grad
    torch.testing.assert_close(found, backbone.eval()(scaled(images(10))).detach())


@pytest.mark.parametrize("batch", [1, 3, 10])
def test_features_do_not_depend_on_the_batch_size(
    batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = extract(tiny_backbone(), images(10), scaled)
    monkeypatch.setattr(features_module, "BATCH", batch)
    found = extract(tiny_backbone(), images(10), scaled)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
