"""Our own small networks, for images of 28 to 64 px and machines without a graphics card.

`resnet20` is the CIFAR network of He et al. 2015, Deep Residual Learning, section 4.2
(https://arxiv.org/abs/1512.03385), with its parameter-free shortcuts.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from engine.models.normalisation import convolution, norm2d


class ConvNorm(nn.Sequential):
    """Convolution, normalisation, ReLU."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, norm: str = "batch"
    ) -> None:
        super().__init__(
            convolution(norm, inputs, outputs, kernel, stride),
            norm2d(norm, outputs),
            nn.ReLU(inplace=True),
        )


class Residual(nn.Module):
    """Two 3×3 convolutions with a shortcut; stride and new channels are met by striding and zeros."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, norm: str = "batch") -> None:
        super().__init__()
        self.conv1 = ConvNorm(inputs, outputs, stride=stride, norm=norm)
        self.conv2 = convolution(norm, outputs, outputs)
        self.bn2 = norm2d(norm, outputs)
        self.stride = stride
        self.more = outputs - inputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.conv1(x)))
        shortcut = x[:, :, :: self.stride, :: self.stride]
        if self.more:
            shortcut = F.pad(shortcut, (0, 0, 0, 0, self.more // 2, self.more - self.more // 2))
        return F.relu(y + shortcut, inplace=True)


class Stages(nn.Module):
    """A chain of named stages and a mean over places: (N, 3, H, W) -> (N, width)."""

    def __init__(self, stages: dict[str, nn.Module]) -> None:
        super().__init__()
        self.names = tuple(stages)
        for name, stage in stages.items():
            self.add_module(name, stage)

    def forward(self, x: Tensor) -> Tensor:
        for name in self.names:
            x = self.get_submodule(name)(x)
        return x.mean((2, 3))


def cnn_small(norm: str = "batch") -> Stages:
    """0.46 million parameters, 128 features; the first layer halves the image, so it is quick."""
    return Stages(
        {
            "stem": ConvNorm(3, 32, kernel=4, stride=2, norm=norm),
            "stage1": nn.Sequential(ConvNorm(32, 64, stride=2, norm=norm), Residual(64, 64, norm=norm)),
            "stage2": nn.Sequential(ConvNorm(64, 128, stride=2, norm=norm), Residual(128, 128, norm=norm)),
        }
    )


def resnet20(norm: str = "batch") -> Stages:
    """Nineteen convolutions of 16, 32 and 64 channels."""

    def stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
        return nn.Sequential(
            Residual(inputs, outputs, stride, norm),
            Residual(outputs, outputs, norm=norm),
            Residual(outputs, outputs, norm=norm),
        )

    return Stages(
        {
            "stem": ConvNorm(3, 16, norm=norm),
            "stage1": stage(16, 16, 1),
            "stage2": stage(16, 32, 2),
            "stage3": stage(32, 64, 2),
        }
    )


def resnet18_small() -> nn.Module:
    """ResNet-18 with a 3×3 first layer of stride 1 and no max-pooling, as SimCLR used it on CIFAR."""
    from torchvision.models import resnet18

    net = resnet18(weights=None)
    net.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(net.conv1.weight, mode="fan_out", nonlinearity="relu")
    net.maxpool = nn.Identity()
    net.fc = nn.Identity()
    return net


SMALL_NETS: dict[str, Callable[[], nn.Module]] = {
    "cnn-small": cnn_small,
    "resnet20": resnet20,
    "resnet18-small": resnet18_small,
    "cnn-small-groupnorm": partial(cnn_small, "group"),
    "cnn-small-nonorm": partial(cnn_small, "none"),
    "resnet20-groupnorm": partial(resnet20, "group"),
    "resnet20-nonorm": partial(resnet20, "none"),
}
