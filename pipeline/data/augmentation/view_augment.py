"""The augmentation of one view; importing this module imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipeline.data.interpolation import Interpolation

JitterStyle = Literal["torchvision", "dali"]


@dataclass(frozen=True)
class ViewAugment:
    """The augmentation of one view; probabilities are per image.

    Attributes:
        crop_scale: smallest and largest share of the area that a crop keeps.
        flip: probability of a horizontal flip.
        jitter: probability of colour jitter.
        brightness: largest relative change of brightness.
        contrast: largest relative change of contrast.
        saturation: largest relative change of saturation (RGB images only).
        hue: largest turn of the hue, at most 0.5 circles (RGB images only).
        grey: probability of dropping the colours (RGB images only).
        blur: probability of a Gaussian blur, its kernel a tenth of the image.
        solarize: probability of inverting the bright half of the values.
        interpolation: how crops are resized, with antialiasing.
        jitter_style: ``torchvision``: one color change after another, the hue in HSV; ``dali``:
            all in one linear map in YIQ, as DALI's ``ColorTwist``.
    """

    crop_scale: tuple[float, float]
    flip: float
    jitter: float
    brightness: float
    contrast: float
    saturation: float
    hue: float
    grey: float
    blur: float
    solarize: float
    interpolation: Interpolation = "bilinear"
    jitter_style: JitterStyle = "torchvision"
