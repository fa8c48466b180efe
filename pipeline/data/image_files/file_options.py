"""Options of data sets of image files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class FileOptions:
    """Options that change the images, or say which there are.

    All but ``resize`` matter where images are found, in ``prepare``: a split then names them.

    Attributes:
        resize: the shorter side in pixels after resizing; the central square is kept.
        on_bad_image: for an unreadable image: raise an error, or leave it out.
        holdout: the share of each class to test on if there is no test part.
        class_list: a file with the names of the classes to use; None: all.
        domains: the domains to use, in order; None: the data set's own.
        folders: the folders that are tasks, in order: relative to the root, or absolute; None:
            folders are no tasks.
    """

    resize: int
    on_bad_image: Literal["error", "skip"] = "error"
    holdout: float = 0.2
    class_list: str | None = None
    domains: Sequence[str] | None = None
    folders: Sequence[str] | None = None


@dataclass(frozen=True)
class Reading:
    """Options of how images are read, which do not change the images.

    Attributes:
        store: decode once into a store, or each time.
        workers: decoding threads in prepare, reading processes in training.
        scratch: the folder of the stores.
        look: whether to find the unreadable images, which decodes all of them.
    """

    store: Literal["cache", "stream"]
    workers: int
    scratch: Path
    look: bool = True
