"""The order of classes in the runs of the CaSSLe paper's public code."""

from __future__ import annotations

from pipeline.config.params import Params
from pipeline.errors import ParamsError

# torch.randperm(100) after its seed of 5: of CIFAR-100's labels, and of ImageNet-100's class
# folders in alphabetical order. With 5 tasks each row of 20 is a task.
PUBLISHED_ORDER = (
    *(11, 22, 39, 23, 42, 30, 78, 81, 64, 20, 29, 79, 15, 69, 86, 63, 55, 53, 73, 68),
    *(89, 67, 58, 97, 96, 92, 37, 14, 75, 51, 54, 7, 3, 6, 50, 40, 45, 4, 83, 98),
    *(27, 12, 8, 99, 60, 87, 28, 5, 84, 34, 82, 16, 72, 49, 59, 31, 71, 35, 66, 76),
    *(61, 17, 36, 62, 13, 2, 38, 94, 80, 19, 25, 18, 0, 1, 46, 74, 85, 91, 52, 77),
    *(21, 33, 32, 88, 93, 70, 44, 47, 26, 57, 90, 95, 48, 65, 43, 10, 9, 56, 24, 41),
)
DATASETS = ("cifar100", "imagenet100")


def require_published_order(name: str, params: Params) -> None:
    """Raise if the published order is not one of a preset's classes.

    Args:
        name: the preset's.
        params: with the preset laid over them.

    Raises:
        ParamsError: it is not.
    """
    if params.dataset not in DATASETS or params.scenario != "class":
        raise ParamsError(
            f"--published-order is the order of the 100 classes of {' and '.join(DATASETS)} in "
            f"scenario class, and preset {name} has {params.dataset} in scenario "
            f"{params.scenario}; use it without"
        )
