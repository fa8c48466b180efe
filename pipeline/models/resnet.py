"""torchvision's ResNet-18 and ResNet-50 as backbones."""

from __future__ import annotations

from functools import partial
from typing import cast

from torch import Tensor, nn
from torchvision.models import resnet

from pipeline.models.backbone import Backbone, average_pool, build_norm, build_stem
from pipeline.models.norms import Norm
from pipeline.models.stems import Stem


class ResNet(Backbone):
    """A torchvision ResNet without its classifier, with a choice of stem."""

    def __init__(self, network: resnet.ResNet, in_channels: int, stem: Stem, norm: Norm) -> None:
        super().__init__()
        self.num_features = network.fc.in_features
        self.stem = build_stem(stem, in_channels, 64, norm)
        self.layers = nn.Sequential(network.layer1, network.layer2, network.layer3, network.layer4)
        convolution = cast(nn.Conv2d, self.stem[0])
        nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")

    def portable_name(self, name: str) -> str:
        """Return torchvision's and timm's name of a tensor, e.g. ``layer1.0.conv1.weight``."""
        part, number, rest = name.split(".", 2)
        if part == "stem":
            return f"{('conv1', 'bn1')[int(number)]}.{rest}"
        return f"layer{int(number) + 1}.{rest}"

    def forward(self, images: Tensor) -> Tensor:
        """Return the features ``(N, num_features)`` of ``images`` ``(N, C, H, W)``."""
        return average_pool(self.layers(self.stem(images)))


class ResNet18(ResNet):
    """ResNet-18: 512 features."""

    def __init__(self, in_channels: int, stem: Stem, norm: Norm = "batch") -> None:
        network = resnet.resnet18(weights=None, norm_layer=partial(build_norm, norm))
        super().__init__(network, in_channels, stem, norm)


class ResNet50(ResNet):
    """ResNet-50: 2048 features."""

    def __init__(self, in_channels: int, stem: Stem, norm: Norm = "batch") -> None:
        network = resnet.resnet50(weights=None, norm_layer=partial(build_norm, norm))
        super().__init__(network, in_channels, stem, norm)
