"""A small ResNet for images of about 28 to 64 pixels on a CPU."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from pipeline.models.backbone import Backbone, average_pool, build_norm, build_stem
from pipeline.models.norms import Norm
from pipeline.models.stems import Stem


class PointwiseConv2d(nn.Conv2d):
    """A 1×1 convolution without a bias, on the CPU as a matrix product over the kept pixels.

    On a CPU this takes half the time of a strided convolution, forward and backward. Other
    devices run the convolution.

    Args:
        in_channels: channels of the input maps.
        out_channels: channels of the output maps.
        stride: distance between the kept rows and columns, in pixels.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__(in_channels, out_channels, 1, stride, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``(N, in_channels, H, W)`` to ``(N, out_channels, ⌈H/stride⌉, ⌈W/stride⌉)``."""
        if maps.device.type != "cpu":
            return super().forward(maps)
        down, across = self.stride
        kept = maps.permute(0, 2, 3, 1)[:, ::down, ::across].contiguous()
        return functional.linear(kept, self.weight.flatten(1)).permute(0, 3, 1, 2)


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions with a norm each, and a shortcut (He et al., 2016)."""

    def __init__(self, in_width: int, width: int, stride: int, norm: Norm) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_width, width, 3, stride, padding=1, bias=False)
        self.norm1 = build_norm(norm, width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = build_norm(norm, width)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_width != width:
            self.shortcut = nn.Sequential(
                PointwiseConv2d(in_width, width, stride), build_norm(norm, width)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, in_width, H, W)`` to ``(N, width, H/stride, W/stride)``."""
        y = functional.relu(self.norm1(self.conv1(x)), inplace=True)
        y = self.norm2(self.conv2(y)).add_(self.shortcut(x))
        return functional.relu(y, inplace=True)


class SmallResNet(Backbone):
    """One stage of residual blocks a width, halving the resolution between stages.

    Args:
        in_channels: channels of the images.
        stem: see ``pipeline.models.stems``.
        norm: see ``build_norm``.
        widths: channels of each stage; the last one is the size of the features.
        blocks: residual blocks in each stage.
    """

    def __init__(
        self,
        in_channels: int,
        stem: Stem,
        norm: Norm = "batch",
        *,
        widths: Sequence[int],
        blocks: int,
    ) -> None:
        super().__init__()
        self.stem = build_stem(stem, in_channels, widths[0], norm)
        stages: list[nn.Module] = []
        width_before = widths[0]
        for index, width in enumerate(widths):
            for block in range(blocks):
                stride = 2 if index > 0 and block == 0 else 1
                stages.append(ResidualBlock(width_before, width, stride, norm))
                width_before = width
        self.blocks = nn.Sequential(*stages)
        self.num_features = widths[-1]
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Return the features ``(N, num_features)`` of ``images`` ``(N, C, H, W)``."""
        return average_pool(self.blocks(self.stem(images)))
