"""A backbone as files that other programs read: safetensors and ONNX."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pipeline.artifacts.encoder import Preprocessing
from pipeline.artifacts.image_graph import FilePixels
from pipeline.files.sealed_json import Json
from pipeline.files.tensors import HEADER
from pipeline.models.backbone import Backbone

EXAMPLES = 2  # a batch of one would be taken for a constant


class Portable(nn.Module):
    """A backbone in eval mode, with its preprocessing in front.

    Args:
        backbone: put in eval mode.
        mean: mean of each channel in [0, 1].
        std: standard deviation of each channel in [0, 1].
    """

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: Backbone, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.backbone = backbone
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("std", torch.tensor(std)[:, None, None])
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Return the features ``(N, F)`` of images ``(N, C, H, W)`` in [0, 255]."""
        features: Tensor = self.backbone((images.float() / 255 - self.mean) / self.std)
        return features


class PortableFromFiles(nn.Module):
    """A backbone in eval mode, with all its preprocessing in front, from a file's pixels on.

    Args:
        backbone: put in eval mode.
        how: the preprocessing.
    """

    def __init__(self, backbone: Backbone, how: Preprocessing) -> None:
        super().__init__()
        self.pixels = FilePixels(how)
        self.portable = Portable(backbone, how.mean, how.std)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Return the features ``(N, F)`` of uint8 images ``(N, H, W, 4)``, red to alpha."""
        features: Tensor = self.portable(self.pixels(images))
        return features


def to_onnx(network: Portable | PortableFromFiles, shape: Sequence[int], about: Json) -> bytes:
    """Return an ONNX model from ``images`` to ``features``, for any number of images.

    Args:
        network: on the CPU; one from files takes images of any height and width.
        shape: of an image, as the network takes it.
        about: what the model's metadata say of it.
    """
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    example = torch.zeros(EXAMPLES, *shape, dtype=torch.uint8)
    free: dict[int, object] = {0: torch.export.Dim("batch")}
    if isinstance(network, PortableFromFiles):
        free |= {1: torch.export.Dim("height"), 2: torch.export.Dim("width")}
    for library in ("onnxscript", "onnx_ir", "torch.onnx"):
        logging.getLogger(library).setLevel(logging.WARNING)
    with warnings.catch_warnings():
        # What torch and onnxscript say of their own use of each other.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            input_names=["images"],
            output_names=["features"],
            dynamic_shapes={"images": free},
            verbose=False,
        )
    assert program is not None, "torch.onnx.export returned nothing with dynamo=True"
    # Each node carries a stack trace: the paths of this machine are nobody's business.
    ClearMetadataAndDocStringPass()(program.model)
    program.model.metadata_props[HEADER] = json.dumps(about, sort_keys=True)
    content: bytes = program.model_proto.SerializeToString()
    return content
