"""What params.yaml can name: methods, strategies, backbones, data sets and probes.

Each entry says where its class is and which options it takes, without importing it;
importing this module imports no torch. To add one: write its file, add its line here,
give it a section in params.yaml if it has options, and write its test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

Positive = Annotated[float, Field(gt=0, le=1000)]
NotNegative = Annotated[float, Field(ge=0, le=1000)]
Weight = Annotated[float, Field(ge=0, le=1_000_000)]
Temperature = Annotated[float, Field(ge=0.001, le=1000)]
Share = Annotated[float, Field(ge=0, le=1)]
Whole = Annotated[int, Field(ge=0, le=1_000_000)]
Width = Annotated[int, Field(ge=1, le=16384)]
Widths = Annotated[list[Width], Field(min_length=1, max_length=16)]
# A share of all images below 1, or a number of images a class.
ShareOrNumber = Annotated[
    Annotated[float, Field(gt=0, lt=1), Tag("share-of-images")]
    | Annotated[int, Field(ge=1, le=1_000_000), Tag("number-a-class")],
    Discriminator(lambda value: "number-a-class" if isinstance(value, int) else "share-of-images"),
]


@dataclass(frozen=True)
class Component:
    """Something that params.yaml can choose by name.

    Attributes:
        path: ``module:class``, imported only when it is used.
        summary: one line for ``cassle list``.
        options: the type of each option in its section of params.yaml; the class takes
            them as keyword arguments of the same names.
        top_level: params from the top of params.yaml that the class takes as well.
        whole_stream: of a strategy: it learns all tasks at once.
    """

    path: str
    summary: str
    options: Mapping[str, object] = field(default_factory=dict)
    top_level: tuple[str, ...] = ()
    whole_stream: bool = False

    @property
    def module(self) -> str:
        """The module that defines the class."""
        return self.path.partition(":")[0]


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


METHODS = {
    "simclr": Component(
        "pipeline.methods.simclr:SimCLR",
        "contrast each image's two views with all others (Chen et al., 2020)",
        {"temperature": Temperature, "distill_temperature": Temperature, "projector": Widths},
    ),
    "mocov2plus": Component(
        "pipeline.methods.mocov2plus:MoCoV2Plus",
        "find the momentum network's key of the other view among a queue (He et al., 2020)",
        {
            "temperature": Temperature,
            "distill_temperature": Temperature,
            "projector": Widths,
            "queue_size": Annotated[int, Field(ge=1, le=10_000_000)],
            "momentum": Share,
            "final_momentum": Share,
        },
    ),
    "byol": Component(
        "pipeline.methods.byol:BYOL",
        "predict the momentum network's projection of the other view (Grill et al., 2020)",
        {
            "projector": Widths,
            "predictor_hidden": Width,
            "momentum": Share,
            "final_momentum": Share,
        },
    ),
    "barlow_twins": Component(
        "pipeline.methods.barlow_twins:BarlowTwins",
        "make the views' cross-correlation the identity (Zbontar et al., 2021)",
        {"projector": Widths, "redundancy_weight": NotNegative, "scale": Positive},
    ),
    "vicreg": Component(
        "pipeline.methods.vicreg:VICReg",
        "keep variance, bring views together, decorrelate dimensions (Bardes et al., 2022)",
        {
            "projector": Widths,
            "invariance_weight": NotNegative,
            "variance_weight": NotNegative,
            "covariance_weight": NotNegative,
        },
    ),
    "swav": Component(
        "pipeline.methods.swav:SwAV",
        "predict one view's cluster from the other view (Caron et al., 2020)",
        {
            "temperature": Temperature,
            "distill_temperature": Temperature,
            "projector": Widths,
            "num_prototypes": Annotated[int, Field(ge=2, le=1_000_000)],
            "epsilon": Temperature,
            "sinkhorn_iterations": Annotated[int, Field(ge=1, le=1000)],
            "queue_size": Annotated[int, Field(ge=0, le=10_000_000)],
            "queue_start_epoch": Whole,
            "freeze_prototypes_epochs": Whole,
        },
    ),
    "simsiam": Component(
        "pipeline.methods.simsiam:SimSiam",
        "predict the other view's projection, without gradient into it (Chen and He, 2021)",
        {"projector": Widths, "predictor_hidden": Width},
    ),
}

STRATEGIES = {
    "finetune": Component(
        "pipeline.strategies.base:Strategy",
        "go on training with the method's loss alone: the lower bound",
    ),
    "cassle": Component(
        "pipeline.strategies.cassle:Cassle",
        "predict the past representation with the method's own loss (Fini et al., 2022)",
        {
            "predictor": Literal["mlp", "none"],
            "predictor_hidden": Width,
            "carry_predictor": bool,
            "teacher_batchnorm": Literal["batch", "running"],
        },
        top_level=("distill_weight",),
    ),
    "ewc": Component(
        "pipeline.strategies.ewc:EWC",
        "hold parameters that mattered to the tasks before (Kirkpatrick et al., 2017)",
        {
            "weight": Weight,
            "fisher_batches": Annotated[int, Field(ge=1, le=1_000_000)],
            "decay": Share,
        },
    ),
    "er": Component(
        "pipeline.strategies.er:ExperienceReplay",
        "experience replay: join each batch with images from a memory",
        {"memory_size": Whole, "batch_share": NotNegative},
    ),
    "der": Component(
        "pipeline.strategies.der:DarkExperienceReplay",
        "keep the projections of the images in a memory (Buzzega et al., 2020)",
        {"memory_size": Whole, "batch_share": NotNegative, "weight": Weight},
    ),
    "lump": Component(
        "pipeline.strategies.lump:Lump",
        "mix each image with one from a memory (Madaan et al., 2022)",
        {"memory_size": Whole, "alpha": Positive},
    ),
    "less_forget": Component(
        "pipeline.strategies.less_forget:LessForget",
        "keep the directions of the features (Hou et al., 2019)",
        {"weight": Weight, "teacher_batchnorm": Literal["batch", "running"]},
    ),
    "pfr": Component(
        "pipeline.strategies.pfr:PFR",
        "predict the past features from the present ones (Gomez-Villa et al., 2022)",
        {
            "weight": Weight,
            "predictor_hidden": Width,
            "teacher_batchnorm": Literal["batch", "running"],
        },
    ),
    "offline": Component(
        "pipeline.strategies.offline:Offline",
        "learn all tasks at once: the upper bound",
        {"match": Literal["epochs", "steps"]},
        whole_stream=True,
    ),
}

# What holds several strategies at once, e.g. cassle+er.
COMPOSITE = "pipeline.strategies.composite:Composite"

PROBES = {
    "linear": Component(
        "pipeline.evaluation.linear:Linear",
        "a linear classifier, trained by SGD on the schedule of linear_eval",
        top_level=("linear_eval",),
    ),
    "solver": Component(
        "pipeline.evaluation.solver:Solver",
        "a linear classifier, solved to convergence: no schedule to choose",
        {"l2": Positive},
    ),
    "knn": Component(
        "pipeline.evaluation.knn:KNearestNeighbours",
        "the nearest training images vote, by cosine (Wu et al., 2018)",
        {"k": Annotated[int, Field(ge=1, le=1_000_000)], "temperature": Temperature},
    ),
    "nearest_mean": Component(
        "pipeline.evaluation.nearest_mean:NearestMean",
        "the nearest class mean, by cosine (Rebuffi et al., 2017)",
    ),
    "few_labels": Component(
        "pipeline.evaluation.few_labels:FewLabels",
        "the solved classifier on a few images of each class",
        {"labels": ShareOrNumber, "l2": Positive},
    ),
}

BACKBONES = {
    "small_resnet": Component(
        "pipeline.models.small_resnet:SmallResNet",
        "a few residual stages for images of about 28 to 64 pixels on a CPU",
        {"widths": Widths, "blocks": Annotated[int, Field(ge=1, le=64)]},
    ),
    "resnet18": Component("pipeline.models.resnet:ResNet18", "torchvision's ResNet-18"),
    "resnet50": Component("pipeline.models.resnet:ResNet50", "torchvision's ResNet-50"),
}

# What makes domains of a data set that has none; see pipeline.data.transformed.
TRANSFORMED = "pipeline.data.transformed:Transformed"
TRANSFORMATIONS = ("plain", "inverted", "rotated", "blurred", "faded")


def _files(path: str, summary: str, image_size: int) -> Dataset:
    """Return a data set of image files, normalised as ImageNet is."""
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    return Dataset(path, summary, image_size=image_size, mean=mean, std=std, files=True)


DATASETS = {
    "fashion_mnist": Dataset(
        "pipeline.data.fashion_mnist:FashionMNIST",
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
        "pipeline.data.cifar:CIFAR10",
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
        "pipeline.data.cifar:CIFAR100",
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
        "pipeline.data.mnist:MNIST",
        "28×28 handwritten digits; fetched by torchvision",
        classes=tuple("0123456789"),
        channels=1,
        image_size=28,
        mean=(0.1307,),
        std=(0.3081,),
    ),
    "tiny_imagenet": _files(
        "pipeline.data.tiny_imagenet:TinyImageNet",
        "64×64 photographs of 200 kinds of things, from its unpacked archive",
        64,
    ),
    "imagenet100": _files(
        "pipeline.data.imagenet100:ImageNet100",
        "100 classes of an ImageNet folder, named by data.class_list",
        224,
    ),
    "domainnet": _files(
        "pipeline.data.domainnet:DomainNet",
        "345 classes as photographs, sketches, paintings, ...: six domains",
        224,
    ),
    "image_folder": _files(
        "pipeline.data.image_folder:ImageFolder",
        "any folder: class folders, domain/class folders, or images without labels",
        224,
    ),
}
