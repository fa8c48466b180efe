"""The data sets that params.yaml can name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.config.registry.component import Component
from pipeline.data.datasets.cifar100_classes import CIFAR100_CLASSES
from pipeline.layout import RAW

# Of ImageNet's training images, which networks for photographs are usually fed with.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Dataset(Component):
    """A data set, with what must be known of it before it is read.

    Attributes:
        classes: the names of the classes, by label.
        channels: channels of its images.
        image_size: height and width of its images in pixels; of files, unless params say
            otherwise.
        mean: mean of each channel of the training images, scaled to [0, 1].
        std: their standard deviation.
        files: whether it is image files, whose classes are known once they are looked at.
        train_images: how many the training part of the full set has; None: not known before
            the files are looked at.
        domain_images: how many that of each domain has, in the order of the stream.
        kept_in: the folder where it is looked for, where no params name one; empty: none.
        subset: whether a subset comes with the project, in that folder.
    """

    classes: tuple[str, ...] = ()
    channels: int = 3
    image_size: int = 32
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    files: bool = False
    train_images: int | None = None
    domain_images: Mapping[str, int] = field(default_factory=dict)
    kept_in: str = ""
    subset: bool = False


# What makes domains of a data set that has none; see pipeline.data.datasets.transformed.
TRANSFORMED = "pipeline.data.datasets.transformed:Transformed"


TRANSFORMATIONS = ("plain", "inverted", "rotated", "blurred", "faded")


DATASETS = {
    "fashion_mnist": Dataset(
        "pipeline.data.datasets.fashion_mnist:FashionMNIST",
        "28×28 grey photographs of clothes in ten classes; a subset comes with the project",
        classes=(
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
        channels=1,
        image_size=28,
        mean=(0.2860,),
        std=(0.3530,),
        train_images=60_000,
        kept_in="data/fashion_mnist",
        subset=True,
    ),
    "cifar10": Dataset(
        "pipeline.data.datasets.cifar:CIFAR10",
        "32×32 photographs of ten kinds of animals and vehicles; fetched by torchvision",
        classes=(
            "airplane",
            "automobile",
            "bird",
            "cat",
            "deer",
            "dog",
            "frog",
            "horse",
            "ship",
            "truck",
        ),
        channels=3,
        image_size=32,
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2470, 0.2435, 0.2616),
        train_images=50_000,
        kept_in=RAW.as_posix(),
    ),
    "cifar100": Dataset(
        "pipeline.data.datasets.cifar:CIFAR100",
        "32×32 photographs of a hundred kinds of things; fetched by torchvision",
        classes=CIFAR100_CLASSES,
        channels=3,
        image_size=32,
        mean=(0.5071, 0.4865, 0.4409),
        std=(0.2673, 0.2564, 0.2762),
        train_images=50_000,
        kept_in=RAW.as_posix(),
    ),
    "mnist": Dataset(
        "pipeline.data.datasets.mnist:MNIST",
        "28×28 handwritten digits; fetched by torchvision",
        classes=tuple("0123456789"),
        channels=1,
        image_size=28,
        mean=(0.1307,),
        std=(0.3081,),
        train_images=60_000,
        kept_in=RAW.as_posix(),
    ),
    "tiny_imagenet": Dataset(
        "pipeline.data.datasets.tiny_imagenet:TinyImageNet",
        "64×64 photographs of 200 kinds of things, from its unpacked archive",
        image_size=64,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        files=True,
        train_images=100_000,
        kept_in=RAW.as_posix(),
    ),
    "imagenet100": Dataset(
        "pipeline.data.datasets.imagenet100:ImageNet100",
        "100 classes of an ImageNet folder, named by data.class_list",
        image_size=224,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        files=True,
        train_images=130_000,  # ImageNet has at most 1,300 of a class
    ),
    "domainnet": Dataset(
        "pipeline.data.datasets.domainnet:DomainNet",
        "345 classes as photographs, sketches, paintings, ...: six domains",
        image_size=224,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        files=True,
        domain_images={
            "real": 120_906,
            "quickdraw": 120_750,
            "painting": 50_416,
            "sketch": 48_212,
            "infograph": 36_023,
            "clipart": 33_525,
        },
    ),
    "image_folder": Dataset(
        "pipeline.data.datasets.image_folder:ImageFolder",
        "any folder: class folders, domain/class folders, or images without labels",
        image_size=224,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        files=True,
    ),
}
