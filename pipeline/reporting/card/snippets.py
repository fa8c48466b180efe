"""Code snippets for a model card that load an exported backbone without this package.

They assemble torchvision's layers under the names of our layers, so the weights load strictly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from pipeline.files.sealed_json import Json

IMPORTS = """\
import json
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn
"""
USE = """\
backbone.eval()
preprocessing = json.loads(Path("preprocessing.json").read_text())
mean, std = (torch.tensor(preprocessing[name])[:, None, None] for name in ("mean", "std"))


@torch.no_grad()
def features(images):  # uint8 (N, {shape}) -> float32 (N, {features})
    return backbone((images / 255 - mean) / std)


print(features(torch.zeros(2, {shape}, dtype=torch.uint8)).shape)
"""
STRICT = 'backbone.load_state_dict(load_file("backbone.safetensors"), strict=True)\n'
ONNX = """\
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("backbone.onnx", providers=["CPUExecutionProvider"])
images = np.zeros((2, {shape}), np.uint8)  # any number of images
(features,) = session.run(["features"], {{"images": images}})
print(features.shape)  # (2, {features})
"""


def onnx_snippet(shape: str, features: int) -> str:
    """Return a snippet that runs backbone.onnx in onnxruntime."""
    return ONNX.format(shape=shape, features=features)


def torch_snippet(spec: Json, shape: str, features: int) -> str:
    """Return a snippet that loads backbone.safetensors in torch.

    Args:
        spec: the backbone as the plan describes it.
        shape: channels, height and width of an image, as ``1, 28, 28``.
        features: the number of features.
    """
    build = BUILDERS.get(cast(str, spec["name"]), _our_class)
    return IMPORTS + build(spec) + USE.format(shape=shape, features=features)


def _stem(spec: Json, width: int) -> str:
    """Return the code of ``pipeline.models.backbone.build_stem`` in plain torch."""
    kernel, stride = {"conv3": (3, 1), "conv3_stride2": (3, 2), "conv7_maxpool": (7, 2)}[
        cast(str, spec["stem"])
    ]
    convolution = (
        f"nn.Conv2d({spec['channels']}, {width}, {kernel}, {stride}, padding={kernel // 2}, "
        "bias=False)"
    )
    layers = [convolution, f"nn.BatchNorm2d({width})", "nn.ReLU()"]
    if spec["stem"] == "conv7_maxpool":
        layers.append("nn.MaxPool2d(3, 2, padding=1)")
    return _sequence("stem", layers)


def _sequence(name: str, layers: list[str]) -> str:
    lines = "".join(f"        {layer},\n" for layer in layers)
    return f"    {name}=nn.Sequential(\n{lines}    ),\n"


def _network(*parts: str) -> str:
    ends = "    pool=nn.AdaptiveAvgPool2d(1),\n    flatten=nn.Flatten(),\n"
    return f"backbone = nn.Sequential(OrderedDict(\n{''.join(parts)}{ends}))\n"


def _resnet(spec: Json) -> str:
    name = spec["name"]
    layers = _sequence("layers", [f"network.layer{number}" for number in (1, 2, 3, 4)])
    return (
        f"from torchvision.models import {name}\n\n"
        f"network = {name}(weights=None)\n{_network(_stem(spec, 64), layers)}{STRICT}"
    )


def _small_resnet(spec: Json) -> str:
    options = cast(Json, spec["options"])
    widths, count = cast(list[int], options["widths"]), cast(int, options["blocks"])
    blocks, before = [], widths[0]
    for index, width in enumerate(widths):
        for number in range(count):
            blocks.append(f"block({before}, {width}, {2 if index > 0 and number == 0 else 1})")
            before = width
    return f"""\
from torchvision.models.resnet import BasicBlock


def block(width_in, width, stride):
    shortcut = None
    if stride != 1 or width_in != width:
        shortcut = nn.Sequential(
            nn.Conv2d(width_in, width, 1, stride, bias=False), nn.BatchNorm2d(width)
        )
    return BasicBlock(width_in, width, stride, shortcut)


{_network(_stem(spec, widths[0]), _sequence("blocks", blocks))}\
weights = load_file("backbone.safetensors")
# torchvision calls two layers of a block otherwise.
renamed = [name.replace("norm", "bn").replace("shortcut", "downsample") for name in weights]
backbone.load_state_dict(dict(zip(renamed, weights.values())), strict=True)
"""


def _our_class(spec: Json) -> str:
    """Return a snippet for any backbone, which needs this package."""
    module, _, name = cast(str, spec["class"]).partition(":")
    options = cast(Json, spec["options"])
    given = [repr(spec["channels"]), repr(spec["stem"])]
    given += [f"{key}={value!r}" for key, value in options.items()]
    return f"\nfrom {module} import {name}\n\nbackbone = {name}({', '.join(given)})\n{STRICT}"


BUILDERS: dict[str, Callable[[Json], str]] = {
    "small_resnet": _small_resnet,
    "resnet18": _resnet,
    "resnet50": _resnet,
}
