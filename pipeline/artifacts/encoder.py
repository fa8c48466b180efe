"""Encoders as files: a backbone, and how an image file becomes its input.

An exported ``model.safetensors`` has all of it: the tensors under the names that other libraries
give them, and an ``Encoder`` in its header.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.artifacts.plans.parts import BackbonePlan, DatasetPlan
from pipeline.data.image_files.file_options import Color, FileOptions, Keep
from pipeline.data.interpolation import Interpolation
from pipeline.errors import StateError
from pipeline.files.sealed_json import Json, digest
from pipeline.files.tensors import pack_tensors, read_arrays, read_tensors
from pipeline.files.typed_json import as_json, from_json

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.models.backbone import Backbone

WEIGHTS = "model.safetensors"  # where timm and the Hugging Face hub look for weights
REMEDY = "name a folder that `cassle export` wrote, or the model.safetensors in it"


@dataclass(frozen=True)
class Preprocessing:
    """How an image file becomes the network's input.

    Attributes:
        channels: 1: grey, 3: RGB.
        image_size: height and width in pixels of what the network sees.
        mean: of each channel, scaled to [0, 1].
        std: the standard deviation, likewise.
        resize: the shorter side in pixels after resizing.
        background: the color behind transparent pixels.
        interpolation: how files are resized, with antialiasing.
        keep: the central square of an image, or the whole of it, of which the centre is taken.
    """

    channels: int
    image_size: int
    mean: Sequence[float]
    std: Sequence[float]
    resize: int
    background: Color
    interpolation: Interpolation
    keep: Keep

    @property
    def files(self) -> FileOptions:
        """The options by which files are read."""
        return FileOptions(self.resize, self.background, self.interpolation, self.keep)


@dataclass(frozen=True)
class EncoderOrigin:
    """What an exported backbone is, as its file's header says.

    Attributes:
        after_task: the last task it has learnt; 0: what the stream starts from.
        state: SHA-256 of the tensors of the state it was taken from.
        backbone: the network.
        preprocessing: how an image file becomes its input.
    """

    after_task: int
    state: str
    backbone: BackbonePlan
    preprocessing: Preprocessing

    @property
    def identity(self) -> str:
        """SHA-256 of all that shapes a feature: the state, the network, how files are read."""
        return digest(as_json(self))


def derive_preprocessing(dataset: DatasetPlan) -> Preprocessing:
    """Return how image files become the input of a network that has learnt from a data set.

    Files are read as those it has learnt from; where it has learnt from arrays, as the central
    square, on white where they are transparent.
    """
    files = dataset.files or FileOptions(dataset.image_size)
    return Preprocessing(
        channels=dataset.channels,
        image_size=dataset.image_size,
        mean=tuple(dataset.mean),
        std=tuple(dataset.std),
        resize=files.resize,
        background=files.background,
        interpolation=files.interpolation,
        keep=files.keep,
    )


def pack_encoder(backbone: Backbone, origin: EncoderOrigin) -> bytes:
    """Return a safetensors file of a network, its tensors by their public names.

    Args:
        backbone: the network, on the CPU.
        origin: what it is; the file's header.
    """
    from pipeline.models.public_names import publish_names

    return pack_tensors(publish_names(backbone), as_json(origin))[0]


def read_origin(file: Path) -> EncoderOrigin:
    """Return what an exported network is, without importing torch; all of the file is checked.

    Raises:
        StateError: the file is missing, damaged or no export.
    """
    _, header = read_arrays(file, StateError, REMEDY)
    return _parse_origin(file, header)


def read_encoder(path: Path) -> tuple[EncoderOrigin, dict[str, Tensor]]:
    """Return an exported backbone: what it is, and its tensors by their public names.

    Args:
        path: the folder of an export, or its ``model.safetensors``; links are followed.

    Raises:
        StateError: it is missing, damaged or no export.
    """
    file = (path / WEIGHTS if path.is_dir() else path).resolve()
    tensors, header = read_tensors(file, StateError, REMEDY)
    return _parse_origin(file, header), tensors


def _parse_origin(file: Path, header: Json) -> EncoderOrigin:
    held = {key: value for key, value in header.items() if key not in ("format", "content")}
    try:
        return from_json(EncoderOrigin, held)
    except ValueError as error:
        raise StateError(f"{file} is no exported encoder ({error}); {REMEDY}") from error
