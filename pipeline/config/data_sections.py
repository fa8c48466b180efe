"""The sections of params.yaml on images and views, with the type and range of each value."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.config.option_types import (
    Background,
    Classes,
    CropScale,
    Name,
    NonNegativeFloat,
    PerView,
)
from pipeline.config.section import Section
from pipeline.config.user_paths import FolderPath, RootPath, UserPath
from pipeline.data.augmentation.view_augment import JitterStyle
from pipeline.data.image_files.file_options import Keep
from pipeline.data.interpolation import Interpolation


class Data(Section):
    """The data set; params from ``image_size`` on are for image files only.

    Attributes:
        root: the folder of the images.
        full: the whole data set instead of the subset that comes with the project.
        domains: the domains of scenario: domain, in order; None: the data set's own.
        folders: the tasks of scenario: folders, in order, in ``root`` or absolute; None: each
            folder in ``root``, in natural order.
        image_size: height and width of the images in pixels; None: the data set's own.
        resize: the shorter side in pixels before the crop to image_size; None: image_size.
        interpolation: how files are resized, with antialiasing.
        keep: the central square of an image, or the whole of it; crops are drawn from that.
        store: decode images once, or each time they are read.
        workers: threads that decode, and processes that read.
        on_bad_image: raise an error for an unreadable image, or leave it out.
        holdout: share of each class to test on, if there is no test part; 0: none.
        holdout_by: what the images have in common that are held out together; see
            ``pipeline.data.image_files.file_options.FileOptions``.
        holdout_group: the regular expression of ``holdout_by: group``.
        duplicates: keep images whose bytes are those of an earlier one, drop them, or raise an
            error.
        classes: all, those that all domains share (``common``), or their names.
        background: the color behind transparent pixels.
        class_list: a file with the classes to use; see ``pipeline.data.datasets.imagenet100``.
        labelled_root: a labelled folder to evaluate on, if the images have no labels.
    """

    root: RootPath
    full: bool
    domains: Annotated[list[Name], Field(min_length=1)] | None
    folders: Annotated[list[FolderPath], Field(min_length=1)] | None
    image_size: Annotated[int, Field(ge=8, le=2048)] | None
    resize: Annotated[int, Field(ge=8, le=4096)] | None
    interpolation: Interpolation
    keep: Keep
    store: Literal["cache", "stream"]
    workers: Annotated[int, Field(ge=0, le=256)]
    on_bad_image: Literal["error", "skip"]
    holdout: Annotated[float, Field(ge=0, lt=1)]
    holdout_by: Literal["file", "content", "name", "group"]
    holdout_group: str | None
    duplicates: Literal["keep", "drop", "error"]
    classes: Classes
    background: Background
    class_list: UserPath | None
    labelled_root: UserPath | None

    @model_validator(mode="after")
    def _group_is_an_expression(self) -> Self:
        if (self.holdout_by == "group") != (self.holdout_group is not None):
            raise ValueError(
                "holdout_group is the regular expression of holdout_by: group, and is null with "
                f"the others; got holdout_by: {self.holdout_by} and holdout_group: "
                f"{self.holdout_group}"
            )
        try:
            re.compile(self.holdout_group or "")
        except re.error as error:
            raise ValueError(
                f"holdout_group must be a regular expression, got {self.holdout_group!r}: {error}"
            ) from error
        return self


class AugmentParams(Section):
    """The augmentation; see ``pipeline.data.augmentation.view_augment.ViewAugment``."""

    crop_scale: CropScale
    interpolation: Interpolation
    flip: PerView
    jitter: PerView
    jitter_style: JitterStyle
    brightness: NonNegativeFloat
    contrast: NonNegativeFloat
    saturation: NonNegativeFloat
    hue: Annotated[float, Field(ge=0, le=0.5)]
    grey: PerView
    blur: PerView
    solarize: PerView
