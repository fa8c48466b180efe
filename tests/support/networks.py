"""Every method around a network of a few weights."""

from __future__ import annotations

import dataclasses
import functools

import torch
from torch import Tensor, nn

from pipeline.artifacts.plans.parts import BackbonePlan
from pipeline.building.backbone import build_backbone
from pipeline.building.components import load_class
from pipeline.config.params import Params
from pipeline.config.read import load_params
from pipeline.config.registry.backbones import (
    BACKBONES,
    TimmBackbone,
    find_backbone,
)
from pipeline.config.registry.methods import METHODS
from pipeline.files.sealed_json import JsonValue
from pipeline.layout import PARAMS, ROOT
from pipeline.methods.base import Method, Views
from pipeline.models.backbone import Backbone
from pipeline.models.small_resnet import SmallResNet
from pipeline.models.timm_names import PREFIX
from pipeline.seeding import generator, seeded_initialization
from pipeline.strategies.base import TaskStart
from pipeline.strategies.cassle import Cassle

# What makes a network tiny, by the name of the option; all other options are as shipped.
TINY: dict[str, object] = {
    "projector": [12, 6],
    "predictor_hidden": 8,
    "queue_size": 10,
    "queue_start_epoch": 0,
    "num_prototypes": 5,
    "widths": [4, 8],
}

# Of timm the smallest: a transformer and a network whose BatchNorm holds the activation.
OURS = [name for name, entry in BACKBONES.items() if not isinstance(entry, TimmBackbone)]
TIMMS = ["timm/test_vit", "timm/test_efficientnet"]


@functools.cache
def shipped() -> Params:
    """Return the params that come with the project."""
    return load_params(ROOT / PARAMS)


def tiny_options(given: dict[str, object] | None) -> dict[str, object]:
    """Return options with those that make a network large replaced."""
    return {key: TINY.get(key, value) for key, value in (given or {}).items()}


def any_backbone(name: str, channels: int, stem: str, size: int = 28) -> Backbone:
    """Return a backbone of the registry, its weights from the global generator."""
    return build_backbone(backbone_spec(name, channels, stem, size))


def backbone_spec(name: str, channels: int, stem: str, size: int = 28) -> BackbonePlan:
    """Return what a plan says of a backbone of the registry, with tiny options.

    Args:
        name: as params.yaml has it.
        channels: of the images.
        stem: passed over by networks of timm.
        size: of the images in pixels, which those of timm have to know; patches are of 4.
    """
    entry = find_backbone(name)
    if isinstance(entry, TimmBackbone):
        patch = 4 if "vit" in name else None
        of_timm: dict[str, JsonValue] = {"model": entry.model or name.removeprefix(PREFIX)}
        of_timm |= {"image_size": size, "patch_size": patch}
        return BackbonePlan(name, entry.path, channels, None, of_timm)
    options = tiny_options(shipped().backbone.options_of(name))
    return BackbonePlan(name, entry.path, channels, stem, options)  # type: ignore[arg-type]


def tiny_backbone() -> SmallResNet:
    """Return a backbone of eight features, its weights from the global generator."""
    return SmallResNet(1, "conv3_stride2", widths=[4, 8], blocks=1)


def tiny_method(name: str, **changes: object) -> Method:
    """Return a method, always with the same weights."""
    with seeded_initialization(0, "test"):
        return method_around(tiny_backbone(), name, **changes)


def method_around(backbone: Backbone, name: str, **changes: object) -> Method:
    """Return a method around a backbone, its other weights from the global generator."""
    options = tiny_options(shipped().methods.options_of(name)) | changes
    return load_class(METHODS[name].path, Method)(backbone, **options)


def parts_of_state(method: Method) -> set[str]:
    """Return the names of a method's attributes that its state holds tensors of."""
    return {name.partition(".")[0] for name in method.state_dict()}


def draw_views(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return two views of 8 pixels that have nothing in common."""
    first, second = torch.rand(2, count, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
    return first, second


def shake(module: nn.Module, scale: float) -> None:
    """Move all parameters, as an optimiser would."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(scale * torch.randn(parameter.shape, generator=generator))


def tiny_cassle(method: Method, **changes: object) -> Cassle:
    """Return CaSSLe that has looked back at ``method``."""
    options: dict[str, object] = {
        "distill_weight": 1.0,
        "predictor": "mlp",
        "predictor_hidden": 8,
        "carry_predictor": True,
        "teacher_batchnorm": "running",
    }
    with seeded_initialization(0, "test strategy"):
        strategy = Cassle(**(options | changes))  # type: ignore[arg-type]
        strategy.begin_task(task_start(method))
    return strategy


def streams(*purpose: str | int) -> torch.Generator:
    """Return a task's random streams."""
    return generator(0, "test", *purpose)


def task_start(method: Method, images: Tensor | None = None, **changes: object) -> TaskStart:
    """Return what a strategy sees when task 2 begins.

    Args:
        method: the network as task 1 left it.
        images: of task 1, uint8 ``(N, C, H, W)``; 40 random ones of 8 pixels if not given.
        changes: fields that are not as here.
    """
    if images is None:
        images = tiny_images(40)

    def augment(batch: Tensor, stream: torch.Generator) -> Views:
        noise = torch.rand(2, *batch.shape, generator=stream)
        return batch / 255 + noise[0], batch / 255 + noise[1]

    start = TaskStart(
        task=2,
        method=method,
        carried={},
        previous_images=images,
        augment=augment,
        normalize=lambda batch: batch / 255,
        batch_size=16,
        device="cpu",
        generators=streams,
    )
    return dataclasses.replace(start, **changes)  # type: ignore[arg-type]


def tiny_images(count: int, seed: int = 0) -> Tensor:
    """Return random images, uint8 ``(count, 1, 8, 8)``."""
    stream = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 1, 8, 8), dtype=torch.uint8, generator=stream)


def tiny_views(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return two views of ``count`` images of 12 pixels."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(count, 1, 12, 12, generator=generator)
    noise = 0.3 * torch.rand(2, count, 1, 12, 12, generator=generator)
    return images + noise[0], images + noise[1]
