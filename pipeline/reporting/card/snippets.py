"""Code snippets for a model card that load an exported backbone without this package.

Of some backbones it is torchvision's parts, put together under the names of our layers, so
that the weights load strictly; of any other it imports this package.
"""

from __future__ import annotations

from collections.abc import Callable

from pipeline.artifacts.plans.parts import BackbonePlan
from pipeline.files.typed_json import get_typed
from pipeline.models.stems import STEMS

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
NOT_TORCHVISIONS = """
# torchvision has no parts of this backbone: install the package that trained it."""
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


def torch_snippet(plan: BackbonePlan, shape: str, features: int) -> str:
    """Return a snippet that loads backbone.safetensors in torch.

    Args:
        plan: of the backbone.
        shape: channels, height and width of an image, as in a tuple.
        features: the size of the features.
    """
    module = plan.path.partition(":")[0]
    build = BUILDERS.get(module, _our_class)
    return IMPORTS + build(plan) + USE.format(shape=shape, features=features)


def _stem(plan: BackbonePlan, width: int) -> str:
    """Return the code of ``pipeline.models.backbone.build_stem`` in plain torch."""
    assert plan.stem is not None, f"{plan.name} has no stem"
    stem = STEMS[plan.stem]
    convolution = (
        f"nn.Conv2d({plan.channels}, {width}, {stem.kernel}, {stem.stride}, "
        f"padding={stem.padding}, bias=False)"
    )
    layers = [convolution, f"nn.BatchNorm2d({width})", "nn.ReLU()"]
    if stem.max_pool:
        layers.append("nn.MaxPool2d(3, 2, padding=1)")
    return _sequence("stem", layers)


def _sequence(name: str, layers: list[str]) -> str:
    lines = "".join(f"        {layer},\n" for layer in layers)
    return f"    {name}=nn.Sequential(\n{lines}    ),\n"


def _network(*parts: str) -> str:
    ends = "    pool=nn.AdaptiveAvgPool2d(1),\n    flatten=nn.Flatten(),\n"
    return f"backbone = nn.Sequential(OrderedDict(\n{''.join(parts)}{ends}))\n"


def _resnet(plan: BackbonePlan) -> str:
    name = plan.name
    layers = _sequence("layers", [f"network.layer{number}" for number in (1, 2, 3, 4)])
    return (
        f"from torchvision.models import {name}\n\n"
        f"network = {name}(weights=None)\n{_network(_stem(plan, 64), layers)}{STRICT}"
    )


def _small_resnet(plan: BackbonePlan) -> str:
    widths = get_typed(plan.options, tuple[int, ...], "widths")
    count = get_typed(plan.options, int, "blocks")
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


{_network(_stem(plan, widths[0]), _sequence("blocks", blocks))}\
weights = load_file("backbone.safetensors")
# torchvision calls two layers of a block otherwise.
renamed = [name.replace("norm", "bn").replace("shortcut", "downsample") for name in weights]
backbone.load_state_dict(dict(zip(renamed, weights.values())), strict=True)
"""


def _timm(plan: BackbonePlan) -> str:
    """Return a snippet that builds the network as ``pipeline.models.timm_network`` does."""
    model = get_typed(plan.options, str, "model")
    size, patch = plan.options["image_size"], plan.options["patch_size"]
    given = "" if patch is None else f", patch_size={patch}"
    return f"""\
import timm

config = timm.get_pretrained_cfg({model!r})
sizes = {{}}  # a network of a fixed size is made for this one
if config and config.fixed_input_size and config.input_size[-1] != {size}:
    sizes["img_size"] = {size}
network = timm.create_model({model!r}, num_classes=0, in_chans={plan.channels}{given}, **sizes)
backbone = nn.Sequential(OrderedDict(network=network))
{STRICT}"""


def _our_class(plan: BackbonePlan) -> str:
    """Return a snippet for any backbone, which needs this package."""
    module, _, name = plan.path.partition(":")
    given = [repr(each) for each in (plan.channels, plan.stem) if each is not None]
    given += [f"{key}={value!r}" for key, value in plan.options.items()]
    made = f"backbone = {name}({', '.join(given)})\n{STRICT}"
    return f"{NOT_TORCHVISIONS}\nfrom {module} import {name}\n\n{made}"


# What makes the code that stands alone, by the module of the backbone's class.
BUILDERS: dict[str, Callable[[BackbonePlan], str]] = {
    "pipeline.models.small_resnet": _small_resnet,
    "pipeline.models.resnet": _resnet,
    "pipeline.models.timm_network": _timm,
}
