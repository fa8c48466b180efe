"""Code snippets for a model card that load an exported backbone without this package.

Of a ResNet it is torchvision's or timm's own network, of the small one torchvision's parts; of
any other it imports this package. Weights are always loaded strictly.
"""

from __future__ import annotations

from collections.abc import Callable

from pipeline.artifacts.plans.parts import BackbonePlan
from pipeline.artifacts.public_names import GROUP_NORM, RESNET, STANDARD_STEM, TIMM, name_in_timm
from pipeline.files.typed_json import get_typed
from pipeline.models.norms import MOST_GROUPS, count_groups
from pipeline.models.stems import STEMS, StemLayers

IMPORTS = """\
import json
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
STRICT = 'backbone.load_state_dict(load_file("model.safetensors"), strict=True)\n'
ONNX = """\
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("backbone.onnx", providers=["CPUExecutionProvider"])
images = np.zeros((2, {shape}), np.uint8)  # any number of images
(features,) = session.run(["features"], {{"images": images}})
print(features.shape)  # (2, {features})
"""


ONNX_FROM_FILES = """\
import numpy as np
import onnxruntime
from PIL import Image, ImageOps

session = onnxruntime.InferenceSession("backbone.onnx", providers=["CPUExecutionProvider"])


def features(path):  # an image file of 8 bits a channel -> float32 (1, {features})
    with Image.open(path) as image:
        image.draft("RGB", ({resize}, {resize}))  # as it was when the network learnt; of JPEG alone
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        image = image.convert("RGBA" if image.has_transparency_data else "RGB").convert("RGBA")
    return session.run(["features"], {{"images": np.asarray(image)[None]}})[0]
"""


def onnx_snippet(shape: str, features: int, resize: int | None) -> str:
    """Return a snippet that runs backbone.onnx in onnxruntime.

    Args:
        shape: channels, height and width of what the network sees, as in a tuple.
        features: the size of the features.
        resize: to how many pixels the model itself resizes the shorter side; None: it does not.
    """
    if resize is None:
        return ONNX.format(shape=shape, features=features)
    return ONNX_FROM_FILES.format(resize=resize, features=features)


def name_origin(plan: BackbonePlan) -> str:
    """Return in words whose names the weights have, and what of the network is not as usual."""
    name, module = plan.name, plan.path.partition(":")[0]
    if module == TIMM:
        return f"the names of the weights are those of timm's {plan.options['model']}"
    if module != RESNET:
        return f"the names of the weights are those of `{plan.path}`, which loads them strictly"
    name += "" if plan.norm == "batch" else " with GroupNorm"
    if plan.stem == STANDARD_STEM:
        return f"the names of the weights are those of torchvision's and timm's {name}"
    return (
        f"the names of the weights are those of torchvision's and timm's {name}, whose first "
        f"layers are others: here they are `{plan.stem}`, so they are put in before loading"
    )


def timm_snippet(plan: BackbonePlan, features: int) -> str:
    """Return a snippet that loads a ResNet's model.safetensors in timm; empty: it is none."""
    if plan.path.partition(":")[0] != RESNET:
        return ""
    made, imports = f"num_classes=0, in_chans={plan.channels}", "import timm\n"
    made += "" if plan.norm == "batch" else f', norm_layer="{GROUP_NORM}"'
    if name := name_in_timm(plan):
        build = (
            f'backbone = timm.create_model(\n    "{name}", {made}, '
            'checkpoint_path="model.safetensors"\n)\n'
        )
    else:
        imports += "from torch import nn\n"
        build = (
            f'backbone = timm.create_model("{plan.name}", {made})\n{_replace_stem(plan, 64)}'
            'timm.models.load_checkpoint(backbone, "model.safetensors")\n'
        )
    return f"{imports}\n{build}backbone.eval()  # {features} features an image\n"


def torch_snippet(plan: BackbonePlan, shape: str, features: int) -> str:
    """Return a snippet that loads model.safetensors in torch.

    Args:
        plan: of the backbone.
        shape: channels, height and width of an image, as in a tuple.
        features: the size of the features.
    """
    module = plan.path.partition(":")[0]
    build = BUILDERS.get(module, _our_class)
    return IMPORTS + build(plan) + USE.format(shape=shape, features=features)


def _find_stem(plan: BackbonePlan) -> StemLayers:
    assert plan.stem is not None, f"{plan.name} has no stem"
    return STEMS[plan.stem]


def _stem_convolution(plan: BackbonePlan, width: int) -> str:
    stem = _find_stem(plan)
    return (
        f"nn.Conv2d({plan.channels}, {width}, {stem.kernel}, {stem.stride}, "
        f"padding={stem.padding}, bias=False)"
    )


def _stem(plan: BackbonePlan, width: int) -> str:
    """Return the code of ``pipeline.models.backbone.build_stem`` in plain torch."""
    stem, convolution = _find_stem(plan), _stem_convolution(plan, width)
    layers = [convolution, f"norm({width})", "nn.ReLU()"]
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
    standard = plan.stem == STANDARD_STEM and plan.channels == 3
    stem = "" if standard else _replace_stem(plan, 64)
    # Its layers have 64 channels or more.
    given = f", norm_layer=lambda width: nn.GroupNorm({MOST_GROUPS}, width)"
    return (
        f"from torchvision.models import {plan.name}\n\n"
        f"backbone = {plan.name}(weights=None{'' if plan.norm == 'batch' else given})\n"
        f"backbone.fc = nn.Identity()\n{stem}{STRICT}"
    )


def _replace_stem(plan: BackbonePlan, width: int) -> str:
    """Return code that puts the stem into a ResNet of torchvision or timm."""
    pool = "" if _find_stem(plan).max_pool else "backbone.maxpool = nn.Identity()\n"
    return f"backbone.conv1 = {_stem_convolution(plan, width)}\n{pool}"


def _small_resnet(plan: BackbonePlan) -> str:
    widths = get_typed(plan.options, tuple[int, ...], "widths")
    count = get_typed(plan.options, int, "blocks")
    blocks, before = [], widths[0]
    for index, width in enumerate(widths):
        for number in range(count):
            blocks.append(f"block({before}, {width}, {2 if index > 0 and number == 0 else 1})")
            before = width
    norm = "nn.BatchNorm2d"
    if plan.norm == "group":
        groups = {width: count_groups(width) for width in widths}
        norm = f"lambda width: nn.GroupNorm({groups}[width], width)"
    return f"""\
from collections import OrderedDict

from torchvision.models.resnet import BasicBlock

norm = {norm}


def block(width_in, width, stride):
    shortcut = None
    if stride != 1 or width_in != width:
        shortcut = nn.Sequential(
            nn.Conv2d(width_in, width, 1, stride, bias=False), norm(width)
        )
    return BasicBlock(width_in, width, stride, shortcut, norm_layer=norm)


{_network(_stem(plan, widths[0]), _sequence("blocks", blocks))}\
weights = load_file("model.safetensors")
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
backbone = timm.create_model({model!r}, num_classes=0, in_chans={plan.channels}{given}, **sizes)
{STRICT}"""


def _our_class(plan: BackbonePlan) -> str:
    """Return a snippet for any backbone, which needs this package."""
    module, _, name = plan.path.partition(":")
    given = [repr(each) for each in (plan.channels, plan.stem) if each is not None]
    given += [] if plan.norm == "batch" else [f"norm={plan.norm!r}"]
    given += [f"{key}={value!r}" for key, value in plan.options.items()]
    made = f"backbone = {name}({', '.join(given)})\n{STRICT}"
    return f"{NOT_TORCHVISIONS}\nfrom {module} import {name}\n\n{made}"


# What makes the code that stands alone, by the module of the backbone's class.
BUILDERS: dict[str, Callable[[BackbonePlan], str]] = {
    "pipeline.models.small_resnet": _small_resnet,
    RESNET: _resnet,
    TIMM: _timm,
}
