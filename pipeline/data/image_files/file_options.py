"""Options of data sets of image files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.data.interpolation import Interpolation

Color = tuple[int, int, int]  # red, green and blue, 0 to 255
WHITE: Color = (255, 255, 255)
Keep = Literal["square", "whole"]


@dataclass(frozen=True)
class FileOptions:
    """Options that change the images, or say which there are.

    All but the first four matter where images are found, in ``prepare``: a split then names them.

    Attributes:
        resize: the shorter side in pixels after resizing.
        background: the color behind transparent pixels.
        interpolation: how files are resized, with antialiasing.
        keep: the central square of an image, or the whole of it, see ``pipeline.data.canvas``.
        on_bad_image: for an unreadable image: raise an error, or leave it out.
        holdout: the share of each class to test on if there is no test part; 0: none.
        holdout_by: what the images have in common that are held out together or not at all:
            nothing but themselves, their bytes, their names without ending, or what a regular
            expression finds in their paths.
        holdout_group: that expression.
        duplicates: what to do with images whose bytes are those of an earlier one.
        classes: the names of the classes to use; None: all.
        common_classes: whether only those are used that all domains share.
        class_list: a file with the names of the classes to use; None: all.
        domains: the domains to use, in order; None: the data set's own.
        folders: the folders that are tasks, in order: relative to the root, or absolute; None:
            folders are no tasks.
    """

    resize: int
    background: Color = WHITE
    interpolation: Interpolation = "bilinear"
    keep: Keep = "square"
    on_bad_image: Literal["error", "skip"] = "error"
    holdout: float = 0.2
    holdout_by: Literal["file", "content", "name", "group"] = "file"
    holdout_group: str | None = None
    duplicates: Literal["keep", "drop", "error"] = "keep"
    classes: Sequence[str] | None = None
    common_classes: bool = False
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
