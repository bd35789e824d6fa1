"""Classification heads: the last layer each architecture would have had, for any number of classes."""

from __future__ import annotations

from torch import Tensor, nn

from engine.models.backbones import backbone_info


class ConvHead(nn.Module):
    """SqueezeNet's head: a 1×1 convolution, ReLU, mean over places: (N, width, h, w) -> (N, C)."""

    def __init__(self, width: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.conv = nn.Conv2d(width, classes, kernel_size=1)

    def forward(self, features: Tensor) -> Tensor:
        return self.conv(self.dropout(features)).relu().mean((2, 3))


class LinearHead(nn.Module):
    """One dense layer: (N, width) -> (N, C)."""

    def __init__(self, width: int, classes: int, dropout: float, bias: bool = True) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(width, classes, bias=bias)

    def forward(self, features: Tensor) -> Tensor:
        return self.linear(self.dropout(features))


def build_head(arch: str, classes: int, dropout: float = 0.0) -> nn.Module:
    """The head of `arch` for `classes` classes, with random weights from torch's current random state.

    Reads what `Encoder.head_features` gives.
    """
    info = backbone_info(arch)
    if info.family == "SqueezeNet":
        return ConvHead(info.width, classes, dropout)
    return LinearHead(info.width, classes, dropout, bias=info.family != "MaxViT")
