"""The plan of the backbone: which network, for which images."""

from __future__ import annotations

from pipeline.artifacts.plans.parts import BackbonePlan
from pipeline.config.options import options_of
from pipeline.config.params import Params
from pipeline.config.plan_data import plan_dataset
from pipeline.config.registry.backbones import TimmBackbone, find_backbone
from pipeline.errors import ParamsError
from pipeline.models.timm_names import PREFIX, require_timm_name

FINEST = 14  # patches along a side at most, as of ViT's 224 pixels in patches of 16
SMALLEST = 4  # pixels of a patch at least


def plan_backbone(params: Params) -> BackbonePlan:
    """The plan of the chosen backbone.

    Raises:
        ParamsError: timm is not installed, or has no such network, or no size of patches fits.
    """
    name: str = params.backbone.name
    entry, dataset = find_backbone(name), plan_dataset(params)
    options = options_of(params, "backbone", name)
    if not isinstance(entry, TimmBackbone):
        stem, norm = params.backbone.stem, params.backbone.norm
        return BackbonePlan(name, entry.path, dataset.channels, stem, options, norm)
    model = entry.model or name.removeprefix(PREFIX)
    try:
        require_timm_name(model)
        patch_size = params.backbone.patch_size
        if entry.fit_patches:
            patch_size = choose_patch_size(dataset.image_size, patch_size)
    except ValueError as error:
        raise ParamsError(f"backbone.name: {error}") from error
    options |= {"model": model, "image_size": dataset.image_size, "patch_size": patch_size}
    return BackbonePlan(name, entry.path, dataset.channels, None, options)


def choose_patch_size(image_size: int, given: int | None) -> int:
    """The height and width of a transformer's patches in pixels, a divisor of the image's.

    Without a given one the finest of 4 pixels or more with at most 14 patches along a side: 4 at
    28 and 32 pixels, 8 at 64 and 96, 16 at 224.

    Raises:
        ValueError: the given one is no divisor, or none fits.
    """
    divisors = [size for size in range(1, image_size) if image_size % size == 0]
    fitting = [size for size in divisors if size >= max(SMALLEST, image_size / FINEST)]
    if given is None and not fitting:
        raise ValueError(
            f"no size of patches fits images of {image_size} pixels; set data.image_size to a "
            "multiple of 4"
        )
    if given is not None and given not in divisors:
        raise ValueError(
            f"backbone.patch_size must divide the images of {image_size} pixels: one of "
            f"{', '.join(map(str, divisors))}, or null; got {given}"
        )
    return fitting[0] if given is None else given
