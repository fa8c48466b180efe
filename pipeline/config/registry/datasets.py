"""The data sets that params.yaml can name."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.config.registry.component import Component


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
    """

    classes: tuple[str, ...] = ()
    channels: int = 3
    image_size: int = 32
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    files: bool = False


# What makes domains of a data set that has none; see pipeline.data.datasets.transformed.
TRANSFORMED = "pipeline.data.datasets.transformed:Transformed"


TRANSFORMATIONS = ("plain", "inverted", "rotated", "blurred", "faded")


def _files(path: str, summary: str, image_size: int) -> Dataset:
    """Return a data set of image files, normalised as ImageNet is."""
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    return Dataset(path, summary, image_size=image_size, mean=mean, std=std, files=True)


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
    ),
    "cifar100": Dataset(
        "pipeline.data.datasets.cifar:CIFAR100",
        "32×32 photographs of a hundred kinds of things; fetched by torchvision",
        classes=tuple(
            (  # noqa: SIM905 - a hundred lines otherwise
                "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy "
                "bridge bus butterfly camel can castle caterpillar cattle chair chimpanzee "
                "clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant "
                "flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower "
                "leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom "
                "oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate "
                "poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark "
                "shrew skunk skyscraper snail snake spider squirrel streetcar sunflower "
                "sweet_pepper table tank telephone television tiger tractor train trout tulip "
                "turtle wardrobe whale willow_tree wolf woman worm"
            ).split()
        ),
        channels=3,
        image_size=32,
        mean=(0.5071, 0.4865, 0.4409),
        std=(0.2673, 0.2564, 0.2762),
    ),
    "mnist": Dataset(
        "pipeline.data.datasets.mnist:MNIST",
        "28×28 handwritten digits; fetched by torchvision",
        classes=tuple("0123456789"),
        channels=1,
        image_size=28,
        mean=(0.1307,),
        std=(0.3081,),
    ),
    "tiny_imagenet": _files(
        "pipeline.data.datasets.tiny_imagenet:TinyImageNet",
        "64×64 photographs of 200 kinds of things, from its unpacked archive",
        64,
    ),
    "imagenet100": _files(
        "pipeline.data.datasets.imagenet100:ImageNet100",
        "100 classes of an ImageNet folder, named by data.class_list",
        224,
    ),
    "domainnet": _files(
        "pipeline.data.datasets.domainnet:DomainNet",
        "345 classes as photographs, sketches, paintings, ...: six domains",
        224,
    ),
    "image_folder": _files(
        "pipeline.data.datasets.image_folder:ImageFolder",
        "any folder: class folders, domain/class folders, or images without labels",
        224,
    ),
}


# Training images of the full sets. ImageNet has at most 1,300 of a class.
IMAGES = {
    "cifar10": 50_000,
    "cifar100": 50_000,
    "fashion_mnist": 60_000,
    "imagenet100": 130_000,
    "mnist": 60_000,
    "tiny_imagenet": 100_000,
}


DOMAINNET = {
    "real": 120_906,
    "quickdraw": 120_750,
    "painting": 50_416,
    "sketch": 48_212,
    "infograph": 36_023,
    "clipart": 33_525,
}
