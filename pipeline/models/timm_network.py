"""The networks of timm, PyTorch Image Models, as backbones."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from pipeline.errors import RunError
from pipeline.models.backbone import Backbone
from pipeline.models.timm_names import TIMM_MISSING

REFUSED = "unexpected keyword argument 'patch_size'"


class TimmNetwork(Backbone):
    """A network of timm without its classifier, with random weights.

    Its keys are timm's behind ``network.``. Dropout and stochastic depth are off in training
    too, whatever the model's default: their draws come from no stream that a resumed training
    could go on with. A frozen copy is in eval mode, where both are off by definition.

    Args:
        in_channels: channels of the images.
        model: the name in timm, without a tag of weights.
        image_size: height and width of the images in pixels.
        patch_size: height and width of a transformer's patches in pixels; None: the model's own.

    Raises:
        RunError: timm is not installed, or has no such network for such images.
    """

    def __init__(
        self, in_channels: int, model: str, image_size: int, patch_size: int | None
    ) -> None:
        super().__init__()
        self.network = _create(model, in_channels, image_size, patch_size)
        _turn_off_dropout(self.network)
        self.num_features = _count_features(self.network, model, in_channels, image_size)

    def forward(self, images: Tensor) -> Tensor:
        """Return the features ``(N, num_features)`` of ``images`` ``(N, C, H, W)``."""
        features: Tensor = self.network(images)
        return features

    def portable_name(self, name: str) -> str:
        """Return timm's own name of a tensor."""
        return name.removeprefix("network.")

    def resample(self, name: str, weight: Tensor) -> Tensor | None:
        """Return position embeddings and patch kernels of a ViT fitted to this image size."""
        own = self.state_dict()[name]
        embed = getattr(self.network, "patch_embed", None)
        if weight.shape == own.shape or weight.ndim != own.ndim or embed is None:
            return None
        from timm.layers.patch_embed import resample_patch_embed
        from timm.layers.pos_embed import resample_abs_pos_embed

        if name == "network.pos_embed" and weight.ndim == 3:
            whole = bool(getattr(self.network, "no_embed_class", False))
            prefix = 0 if whole else int(getattr(self.network, "num_prefix_tokens", 0))
            grid = list(embed.grid_size)
            fitted: Tensor = resample_abs_pos_embed(weight, grid, num_prefix_tokens=prefix)
        elif name == "network.patch_embed.proj.weight" and weight.shape[:2] == own.shape[:2]:
            fitted = resample_patch_embed(weight, list(own.shape[-2:]))
        else:
            return None
        return fitted if fitted.shape == own.shape else None

    def parameters_without_decay(self) -> list[nn.Parameter]:
        """Return those that timm's own recipes leave out: class token, position embedding, ..."""
        list_names = getattr(self.network, "no_weight_decay", set)
        held = dict(self.network.named_parameters())
        return [held[name] for name in sorted(list_names()) if name in held]


def _create(model: str, channels: int, image_size: int, patch_size: int | None) -> nn.Module:
    """Return timm's network, made for the image size if it has to know that."""
    try:
        import timm
    except ImportError as error:
        raise RunError(f"timm/{model}: {TIMM_MISSING}") from error
    try:
        sizes = size_arguments(model, image_size, patch_size)
        network: nn.Module = timm.create_model(
            model, pretrained=False, num_classes=0, in_chans=channels, **sizes
        )
    except Exception as error:  # networks of timm raise many types
        if patch_size is not None and REFUSED in str(error):
            raise RunError(
                f"timm/{model} takes no patch size; set backbone.patch_size: null, got {patch_size}"
            ) from error
        raise _refuse(model, channels, image_size, error) from error
    _require_whole_patches(network, model, image_size)
    return network


def size_arguments(model: str, image_size: int, patch_size: int | None) -> dict[str, Any]:
    """Return the keywords by which timm makes a network for images of a size.

    Args:
        model: the name in timm.
        image_size: height and width of the images in pixels.
        patch_size: height and width of a transformer's patches; None: the model's own.
    """
    import timm

    config = timm.get_pretrained_cfg(model)
    # Of its own size it need not be told; a network without a fixed one takes any.
    told = config and config.fixed_input_size and config.input_size[-1] != image_size
    sizes = {"img_size": image_size} if told else {}
    return sizes if patch_size is None else sizes | {"patch_size": patch_size}


def _require_whole_patches(network: nn.Module, model: str, image_size: int) -> None:
    """Check that a transformer's patches cover the image: timm would cut off what is left."""
    patch = getattr(getattr(network, "patch_embed", None), "patch_size", None)
    side = patch[0] if isinstance(patch, tuple) else patch
    if isinstance(side, int) and image_size % side:
        raise RunError(
            f"timm/{model}: images of {image_size} pixels are not whole patches of {side}; set "
            "backbone.patch_size to a divisor, or data.image_size to a multiple"
        )


def _turn_off_dropout(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0.0
        for rate in ("drop_rate", "drop_prob"):  # functional dropout; stochastic depth
            if isinstance(getattr(module, rate, None), float):
                setattr(module, rate, 0.0)


def _count_features(network: nn.Module, model: str, channels: int, image_size: int) -> int:
    """Return the size of the features, as one image shows it; no statistics change."""
    training = network.training
    image = torch.zeros(1, channels, image_size, image_size)
    try:
        with torch.no_grad():
            features = network.eval()(image)
    except Exception as error:  # networks of timm raise many types
        raise _refuse(model, channels, image_size, error) from error
    network.train(training)
    if not isinstance(features, Tensor) or features.ndim != 2:
        raise RunError(f"timm/{model} gives no pooled features, one vector an image; use another")
    return features.shape[1]


def _refuse(model: str, channels: int, image_size: int, error: Exception) -> RunError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return RunError(
        f"timm/{model} does not take images of {channels}×{image_size}×{image_size} "
        f"({reason}); set data.image_size, or use another network"
    )
