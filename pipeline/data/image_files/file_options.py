"""What params say of image files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class FileOptions:
    """What shapes the images and their parts.

    Attributes:
        resize: the shorter side is brought to so many pixels, and the central square is kept.
        on_bad_image: what happens where one cannot be read: an error, or it is left out.
        holdout: the share of each class that is tested on where there is no test part.
        class_list: a file that names the classes to take; None: all.
        domains: the domains in their order; None: the data set's own.
    """

    resize: int
    on_bad_image: Literal["error", "skip"]
    holdout: float
    class_list: str | None
    domains: Sequence[str] | None


@dataclass(frozen=True)
class Reading:
    """How images are read, which changes nothing in them.

    Attributes:
        store: decode once into a store, or each time.
        workers: threads that decode in prepare, processes that read in training.
        scratch: the folder of the stores.
        look: whether to find out which images cannot be read, which decodes all of them.
    """

    store: Literal["cache", "stream"]
    workers: int
    scratch: Path
    look: bool = True
