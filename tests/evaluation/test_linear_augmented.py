"""Linear evaluation on crops and flips: against a plain loop of torch and torchvision."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.transforms.v2 import functional as vision

from pipeline.artifacts.plans.parts import DatasetPlan
from pipeline.building.augmented_images import AugmentedImages
from pipeline.building.views import build_augment
from pipeline.config.registry.datasets import DATASETS
from pipeline.data.augmentation.view_augment import ViewAugment
from pipeline.data.batches import Images
from pipeline.data.datasets.fashion_mnist import FashionMNIST
from pipeline.data.parts import PARTS, Part
from pipeline.data.source import Selection, Source
from pipeline.errors import RunError
from pipeline.evaluation.features import extract
from pipeline.evaluation.linear_augmented import LinearAugmented
from pipeline.files.typed_json import as_json
from pipeline.metrics.accuracy import task_agnostic
from pipeline.models.small_resnet import SmallResNet
from pipeline.seeding import seeded_initialization
from tests.support.params import ROOT

ENTRY = DATASETS["fashion_mnist"]
PLAN = DatasetPlan(
    "fashion_mnist", ENTRY.path, "data", False, ENTRY.classes, 1, 28, ENTRY.mean, ENTRY.std
)
WIDTH = 32
COUNT = 1000
PROBE = LinearAugmented(
    epochs=12,
    batch_size=64,
    learning_rate=0.3,
    milestones=[6, 9],
    weight_decay=0.0,
    crop_scale=(0.08, 1.0),
    interpolation="bilinear",
    flip=0.5,
)


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def source() -> Source:
    return FashionMNIST(ROOT / "data/fashion_mnist", False, ENTRY.classes)


@pytest.fixture(scope="module")
def backbone(source: Source) -> SmallResNet:
    """A network that tells the classes apart, from a few steps with their labels."""
    count = 4000
    images = opened(source.select("train", range(count)))
    labels = known_labels(source, "train")
    with seeded_initialization(0, "test"):
        network = SmallResNet(1, "conv3_stride2", widths=[8, 16, WIDTH], blocks=1)
        head = nn.Linear(WIDTH, 10)
    optimizer = torch.optim.AdamW([*network.parameters(), *head.parameters()], lr=0.01)
    normalize = build_augment(PLAN, ()).normalize
    for rows in torch.split(torch.randperm(count, generator=stream()), 50):
        optimizer.zero_grad()
        loss = functional.cross_entropy(head(network(normalize(images[rows]))), labels[rows])
        torch.autograd.backward(loss)
        optimizer.step()
    return network.eval()


def known_labels(source: Source, part: Part) -> Tensor:
    return torch.tensor(source.labels(part), dtype=torch.int64)


def opened(selection: Selection) -> Tensor:
    return torch.from_numpy(selection.reader()[np.arange(len(selection))])


def cut(image: Tensor, place: tuple[int, ...], flipped: bool) -> Tensor:
    """One normalised view of an image, float ``(1, 28, 28)``, by torchvision."""
    view = vision.resized_crop(image.float() / 255, *place, [28, 28], antialias=True)
    view = vision.horizontal_flip(view) if flipped else view
    return (view - ENTRY.mean[0]) / ENTRY.std[0]


def plain_loop(
    network: nn.Module, images: Tensor, labels: Tensor, random: torch.Generator
) -> nn.Linear:
    """The classifier of the protocol as anyone would write it down, on the same random numbers."""
    draw = build_augment(PLAN, (PROBE.view,)).draw_batches
    classifier = nn.Linear(WIDTH, 10)
    nn.init.zeros_(classifier.weight)
    nn.init.zeros_(classifier.bias)
    optimizer = torch.optim.SGD(classifier.parameters(), momentum=0.9)
    for epoch in range(12):
        for group in optimizer.param_groups:
            group["lr"] = 0.3 if epoch < 6 else 0.03 if epoch < 9 else 0.003
        order = torch.randperm(len(images), generator=random)
        for first in range(0, len(images) - 63, 64):
            rows = order[first : first + 64]
            (((drawn,), _),) = draw(images[rows].shape, random)
            assert drawn.flip is not None
            views = [
                cut(image, tuple(int(side) for side in place), bool(flipped))
                for image, place, flipped in zip(
                    images[rows], drawn.crops.T, drawn.flip, strict=True
                )
            ]
            with torch.no_grad():
                features = network(torch.stack(views))
            optimizer.zero_grad()
            torch.autograd.backward(functional.cross_entropy(classifier(features), labels[rows]))
            optimizer.step()
    return classifier


@pytest.mark.pipeline
def test_the_accuracy_is_that_of_a_plain_loop_within_half_a_point(
    source: Source, backbone: SmallResNet
) -> None:
    chosen, tested = source.select("train", range(COUNT)), source.select("test", range(5000))
    labels, wanted = (known_labels(source, part) for part in PARTS)
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    test = extract(backbone, opened(tested), build_augment(PLAN, ()).normalize)
    train = AugmentedImages(PLAN, Images(chosen), labels[:COUNT], backbone)
    ours = task_agnostic(PROBE.scores(train, test, 10, stream()), wanted)
    classifier = plain_loop(backbone, opened(chosen), labels, stream())
    theirs = task_agnostic(classifier(test), wanted)
    assert 50 < theirs < 95
    assert ours == pytest.approx(theirs, abs=0.5)
    assert all(torch.equal(tensor, before[name]) for name, tensor in backbone.state_dict().items())


class Numbers:
    """Images that are their own features, and note which batches are read."""

    num_features = 3

    def __init__(self, count: int) -> None:
        self.labels = torch.arange(count) % 2
        self.read: list[int] = []
        self.views: list[ViewAugment] = []

    def read_features(
        self, batches: Sequence[Tensor], view: ViewAugment, generator: torch.Generator
    ) -> Iterator[Tensor]:
        self.views.append(view)
        for batch in batches:
            self.read.append(len(batch))
            yield functional.one_hot(self.labels[batch], 3).float()


@pytest.mark.parametrize(
    ("count", "batches"), [(10, [4, 4]), (8, [4, 4]), (3, [3]), (4, [4]), (5, [4])]
)
def test_images_that_do_not_fill_the_last_batch_are_left_out(
    count: int, batches: list[int]
) -> None:
    images = Numbers(count)
    probe = replace(PROBE, batch_size=4, epochs=2, milestones=[1])
    scores = probe.scores(images, torch.eye(3), 2, stream())
    assert images.read == batches * 2
    assert scores.shape == (3, 2)
    assert images.views[0] == PROBE.view


def test_only_crops_and_flips_change_an_image() -> None:
    assert as_json(PROBE.view) == {
        **dict.fromkeys(
            ("jitter", "brightness", "contrast", "saturation", "hue", "grey", "blur", "solarize"),
            0.0,
        ),
        "crop_scale": [0.08, 1.0],
        "flip": 0.5,
    }


def test_a_rate_that_diverges_is_one_error() -> None:
    probe = replace(PROBE, learning_rate=1e38, batch_size=2)
    with pytest.raises(RunError, match=r"lower evaluation\.linear_augmented\.learning_rate"):
        probe.scores(Numbers(8), torch.eye(3), 2, stream())
