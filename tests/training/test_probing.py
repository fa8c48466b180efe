"""Probes of the network in training: which images, when, and what they leave as it was."""

from __future__ import annotations

import logging
from collections import Counter

import pytest
import torch
from torch import Tensor

from pipeline.evaluation.base import FeatureProbe
from pipeline.evaluation.knn import KNearestNeighbours
from pipeline.models.backbone import Backbone
from pipeline.models.small_resnet import SmallResNet
from pipeline.seeding import generator
from pipeline.training.probing import (
    MOST,
    PASSES_OF_TRAINING,
    Probing,
    Sample,
    choose_evenly,
    count_affordable,
    count_measurements,
)
from tests.support.probes import StubProbe

pytestmark = pytest.mark.unit


def fail(train: Tensor, labels: Tensor, test: Tensor, num_classes: int) -> Tensor:
    raise ValueError("no such\nluck")


def draw(train: Tensor, labels: Tensor, test: Tensor, num_classes: int) -> Tensor:
    return torch.rand(len(test), num_classes)


def network() -> Backbone:
    backbone = SmallResNet(1, "conv3_stride2", widths=[4, 8], blocks=1)
    backbone.train()
    backbone.stem.eval()  # a layer that a method holds in another mode
    return backbone


def sample(by_task: bool = True) -> Sample:
    """Images of four classes, each of one gray; classes 0 and 1 are task 1."""
    labels = torch.arange(4).repeat(6)
    images = (60 * labels).to(torch.uint8)[:, None, None, None].repeat(1, 1, 12, 12)
    return Sample(images, labels, images[:8], labels[:8], labels[:8] // 2 + 1, 4, by_task)


def probing(
    probes: dict[str, FeatureProbe], task: int = 2, every: int = 2, by_task: bool = True
) -> Probing:
    return Probing(probes, sample(by_task), lambda images: images / 255, task, every, 5, 0)


KNN = KNearestNeighbours(k=1, temperature=0.1)


def test_an_epoch_is_measured_every_so_often_and_at_the_end() -> None:
    measuring, backbone = probing({"knn": KNN}), network()
    rows = [measuring.measure(backbone, epoch) for epoch in range(1, 6)]
    assert [row["probe_knn"] is not None for row in rows] == [False, True, False, True, True]
    assert {tuple(row) for row in rows} == {
        ("probe_knn", "probe_knn_this_task", "probe_knn_earlier_tasks")
    }
    assert measuring.measured == count_measurements(5, 2) == 3


def test_accuracies_are_means_over_the_tasks() -> None:
    class HalfRight(FeatureProbe):
        def scores(self, train: Tensor, labels: Tensor, test: Tensor, *more: object) -> Tensor:
            return torch.tensor([[1.0, 0, 0, 0]] + [[0, 0, 1.0, 0]] * 7)

    row = probing({"half": HalfRight()}).measure(network(), 2)
    # Test images are of classes 0 1 2 3 0 1 2 3: of task 1 the first one is right.
    assert row == {"probe_half": 37.5, "probe_half_this_task": 50, "probe_half_earlier_tasks": 25}
    assert probing({"half": HalfRight()}, by_task=False).measure(network(), 2) == {
        "probe_half": 37.5
    }
    first = probing({"half": HalfRight()}, task=1).measure(network(), 2)
    assert first["probe_half_this_task"] == 25


def test_the_network_and_the_generators_stay_as_they_were() -> None:
    backbone = network()
    passed: list[int] = []
    backbone.register_forward_hook(lambda *held: passed.append(1))
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    modes = [layer.training for layer in backbone.modules()]
    drawn = torch.random.get_rng_state()
    found = probing({"draws": StubProbe(draw), "knn": KNN}).measure(backbone, 2)
    assert all(value is not None for value in found.values())
    assert all(torch.equal(before[name], held) for name, held in backbone.state_dict().items())
    assert [layer.training for layer in backbone.modules()] == modes
    assert torch.equal(torch.random.get_rng_state(), drawn)
    # Hooks count the passes that training takes.
    assert not passed
    assert all(parameter.grad is None for parameter in backbone.parameters())


def test_a_probe_that_fails_says_so_once_and_the_others_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    measuring, backbone = probing({"fails": StubProbe(fail), "knn": KNN}), network()
    with caplog.at_level(logging.WARNING):
        rows = [measuring.measure(backbone, epoch) for epoch in (2, 4)]
    assert all(row["probe_fails"] is None and row["probe_knn"] is not None for row in rows)
    said = "probe fails failed (ValueError: no such luck); training goes on without it"
    assert [record.message for record in caplog.records] == [said]


def test_a_network_that_cannot_be_run_ends_the_probes_alone(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    measuring, backbone = probing({"knn": KNN}), network()

    def forward(images: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("not enough")

    monkeypatch.setattr(backbone, "forward", forward)
    assert set(measuring.measure(backbone, 2).values()) == {None}
    assert set(measuring.measure(backbone, 4).values()) == {None}
    assert caplog.text.count("probe knn failed (OutOfMemoryError: not enough)") == 1


@pytest.mark.parametrize(("epochs", "every"), [(60, 1), (60, 7), (5, 5), (3, 2)])
@pytest.mark.parametrize("cost", [0.01, 0.03, 0.5])
def test_all_measurements_of_a_task_stay_below_the_share_of_its_work(
    epochs: int, every: int, cost: float
) -> None:
    images = 120 * epochs
    measurements = count_measurements(epochs, every)
    taken = measurements * count_affordable(cost, images, measurements)
    assert taken <= cost * PASSES_OF_TRAINING * images
    assert taken > cost * PASSES_OF_TRAINING * images - measurements or taken == MOST * measurements


def test_a_sample_has_each_class_alike_and_a_larger_one_holds_it() -> None:
    labels = [0] * 50 + [1] * 7 + [2] * 3

    def chosen(count: int) -> list[int]:
        return choose_evenly(labels, count, generator(0, "test"))

    assert Counter(labels[place] for place in chosen(9)) == {0: 3, 1: 3, 2: 3}
    assert Counter(labels[place] for place in chosen(15)) == {0: 6, 1: 6, 2: 3}
    assert set(chosen(9)) < set(chosen(15)) < set(chosen(60))
    assert chosen(100) == list(range(60))
