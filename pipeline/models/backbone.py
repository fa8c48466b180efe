"""The Backbone contract: images in, one feature vector an image out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self

from torch import Tensor, nn

from pipeline.models.norms import Norm, count_groups
from pipeline.models.stems import STEMS, Stem


class Backbone(nn.Module, ABC):
    """A network from images ``(N, C, H, W)`` to features ``(N, num_features)``."""

    num_features: int
    frozen: frozenset[str] = frozenset()  # names of modules; see ``pipeline.models.freezing``

    def train(self, mode: bool = True) -> Self:
        """Switch between training and evaluation; what is frozen stays in eval mode."""
        super().train(mode)
        for name in self.frozen:
            # The module alone: what is inside of it is frozen by its own name.
            self.get_submodule(name).training = False
        return self

    def portable_name(self, name: str) -> str:
        """Return what torchvision or timm call a tensor of ``state_dict()``; else the same name."""
        return name

    def resample(self, name: str, weight: Tensor) -> Tensor | None:
        """Return a tensor of weights that were made for another image size, fitted to this one.

        Args:
            name: in ``state_dict()``.
            weight: of another shape, or of the same.

        Returns:
            None where nothing is to be fitted, as in networks that take any size.
        """
        return None

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """Return the features ``(N, num_features)`` of ``images`` ``(N, C, H, W)``."""

    def parameters_without_decay(self) -> list[nn.Parameter]:
        """Return those beside norms and biases that have no weight decay, as a class token.

        Only ``train.exclude_norms_and_biases`` leaves them out, and from LARS as well.
        """
        return []


def average_pool(maps: Tensor) -> Tensor:
    """Return the mean of feature maps ``(N, F, H, W)`` over their pixels, ``(N, F)``.

    Its gradient is in channels-last memory format. The gradient of ``mean(dim=(2, 3))`` is
    not, and a layer that gets both formats at once takes ten times as long.
    """
    return maps.permute(0, 2, 3, 1).mean(dim=(1, 2))


def build_norm(norm: Norm, width: int) -> nn.Module:
    """Return the layer that normalises maps ``(N, width, H, W)``, with a scale and a shift.

    Args:
        norm: ``batch``: BatchNorm; ``group``: GroupNorm, by each image's own numbers.
        width: channels of the maps.
    """
    if norm == "batch":
        return nn.BatchNorm2d(width)
    return nn.GroupNorm(count_groups(width), width)


def build_stem(stem: Stem, in_channels: int, width: int, norm: Norm = "batch") -> nn.Sequential:
    """Return the first layers of a network, as ``STEMS`` describes them."""
    wanted = STEMS[stem]
    layers: list[nn.Module] = [
        nn.Conv2d(in_channels, width, wanted.kernel, wanted.stride, wanted.padding, bias=False),
        build_norm(norm, width),
        nn.ReLU(inplace=True),
    ]
    if wanted.max_pool:
        layers.append(nn.MaxPool2d(3, 2, padding=1))
    return nn.Sequential(*layers)
