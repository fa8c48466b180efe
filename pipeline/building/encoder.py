"""An encoder: a trained backbone that takes image files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pipeline import layout
from pipeline.artifacts.encoder import (
    EncoderOrigin,
    Preprocessing,
    derive_preprocessing,
    read_encoder,
)
from pipeline.artifacts.plans.evaluate import EvaluatePlan
from pipeline.artifacts.plans.files import choose_state, require_plan
from pipeline.building.backbone import build_backbone
from pipeline.building.trained_backbone import load_backbone
from pipeline.data.augmentation.augment import Augment
from pipeline.data.image_files.decode import BadImageError
from pipeline.data.image_files.store import ImageFiles, row_shape
from pipeline.data.source import Bytes
from pipeline.errors import DataError, RunError
from pipeline.evaluation.features import extract
from pipeline.models.backbone import Backbone
from pipeline.models.loading import load_module
from pipeline.models.public_names import adopt_names
from pipeline.runtime.device import Device, choose_device


class Encoder:
    """A backbone in eval mode that turns image files into features.

    Args:
        backbone: the network; moved to the device.
        how: how a file becomes its input.
        identity: SHA-256 of all that shapes a feature.
        name: what it is called in messages.
        device: where it runs.

    Attributes:
        num_features: the size of its features.
        augment: normalises the pixels.
    """

    def __init__(
        self,
        backbone: Backbone,
        how: Preprocessing,
        identity: str,
        name: str,
        device: str = "cpu",
    ) -> None:
        self.how = how
        self.identity = identity
        self.name = name
        self.num_features = backbone.num_features
        self.backbone = backbone.to(memory_format=torch.channels_last).to(device).eval()
        self.augment = Augment((), how.image_size, how.mean, how.std, whole=how.keep == "whole")

    def __call__(self, images: str | Path | Sequence[str | Path]) -> NDArray[np.float32]:
        """Return the features of image files, float32 ``(N, num_features)``.

        Args:
            images: a file, or several.

        Raises:
            DataError: a file cannot be read.
        """
        paths = [images] if isinstance(images, str | Path) else images
        found = np.empty((len(paths), *self.pixel_shape), np.uint8)
        for row, path in enumerate(paths):
            try:
                found[row] = self.read(Path(path))
            except BadImageError as error:
                raise DataError(f"{path} is {error}") from error
        return self.encode(found)

    @property
    def pixel_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of what ``read`` returns."""
        return (self.how.channels, *row_shape(self.how.resize, self.how.keep))

    def read(self, path: Path) -> Bytes:
        """Return the pixels of a file as the pipeline reads it, uint8 ``pixel_shape``.

        Raises:
            BadImageError: it cannot be read.
            DataError: the memory is too small to decode it.
        """
        how = self.how
        files = ImageFiles(
            path.parent, [path.name], how.resize, how.background, how.interpolation, how.keep
        )
        image = files.read_file(0)
        if how.channels == 1:
            return np.asarray(Image.fromarray(image).convert("L"))[None]
        if how.keep == "whole":  # the rows of a canvas that it fills
            filled, image = image, np.zeros((*self.pixel_shape[1:], 3), np.uint8)
            image[: len(filled)] = filled
        return image.transpose(2, 0, 1)

    def encode(self, pixels: Bytes) -> NDArray[np.float32]:
        """Return the features of pixels, float32 ``(N, num_features)``.

        Args:
            pixels: as ``read`` returns them, ``(N, *pixel_shape)``.
        """
        if len(pixels) == 0:
            return np.zeros((0, self.num_features), np.float32)
        # A copy where nobody may write: torch has no such tensors.
        images = torch.from_numpy(pixels if pixels.flags.writeable else pixels.copy())
        features: Tensor = extract(self.backbone, images, self.augment.normalize)
        return features.cpu().numpy()


def load_encoder(source: int | str | Path | None = None, device: str = "auto") -> Encoder:
    """Return the encoder of a state, or of an export.

    Args:
        source: the number of a state of the project in the working folder, 0 being what the
            stream starts from; or the folder of an export, or its ``model.safetensors``; None:
            the last state of the project.
        device: ``auto`` (a GPU if there is one), ``cpu``, ``cuda`` or ``mps``.

    Raises:
        PipelineError: there is no such state or export, or it is damaged, or the device is not
            there.
    """
    where = choose_device(_name_device(device))
    if source is None or isinstance(source, int):
        plan = require_plan(EvaluatePlan, "evaluate")
        task = choose_state(source, plan.last_state)
        backbone, content = load_backbone(plan, task)
        how = derive_preprocessing(plan.dataset)
        origin = EncoderOrigin(task, content, plan.backbone, how)
        name = f"{layout.state(task)}"
    else:
        path = Path(source)
        origin, tensors = read_encoder(path)
        backbone = build_backbone(origin.backbone)
        load_module(backbone, adopt_names(backbone, tensors), path)
        how, name = origin.preprocessing, str(path)
    return Encoder(backbone, how, origin.identity, name, where)


def _name_device(device: str) -> Device:
    if device not in list(Device):
        raise RunError(f"the device {device!r} is unknown; one of: {', '.join(Device)}")
    return Device(device)
