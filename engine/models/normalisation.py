"""What can stand in a network in place of BatchNorm, and BatchNorm over parts of a batch.

GroupNorm: Wu and He 2018, https://arxiv.org/abs/1803.08494. Weight standardisation: Qiao et al. 2019,
https://arxiv.org/abs/1903.10520; both together in BYOL without batch statistics, Richemond et al. 2020,
https://arxiv.org/abs/2010.10241. Split BatchNorm stands in for the several devices of MoCo's ShuffleBN.
"""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn

GROUP_CHANNELS = 16
EPSILON = 1e-5


class StandardisedConv2d(nn.Conv2d):
    """A convolution whose kernels are centred and scaled to unit variance before they are used."""

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        weight = weight / (weight.var((1, 2, 3), keepdim=True, unbiased=False) + EPSILON).sqrt()
        # unit variance alone would let activations grow with the number of inputs
        scale = self.weight[0].numel() ** -0.5
        return F.conv2d(x, weight * scale, self.bias, self.stride, self.padding, self.dilation, self.groups)


class SplitBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm that normalises `splits` parts of a training batch apart, as that many devices would.

    Image n belongs to part n mod splits. A batch that is no multiple is cut into as many parts as divide it.
    """

    splits: int = 1

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.splits == 1:
            return super().forward(x)
        n, channels, height, width = x.shape
        splits = math.gcd(n, self.splits)
        assert self.running_mean is not None and self.running_var is not None
        mean, var = self.running_mean.repeat(splits), self.running_var.repeat(splits)
        parts = x.reshape(n // splits, channels * splits, height, width)
        weight = None if self.weight is None else self.weight.repeat(splits)
        bias = None if self.bias is None else self.bias.repeat(splits)
        out = F.batch_norm(parts, mean, var, weight, bias, True, self.momentum or 0.1, self.eps)
        self.running_mean.copy_(mean.view(splits, channels).mean(0))
        self.running_var.copy_(var.view(splits, channels).mean(0))
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        return out.view(n, channels, height, width)


def split_batch_norm(module: nn.Module, splits: int) -> None:
    """Let every BatchNorm of images in `module` work on `splits` parts of a batch; weights stay."""
    for layer in module.modules():
        if type(layer) is nn.BatchNorm2d:
            layer.__class__ = SplitBatchNorm2d
        if isinstance(layer, SplitBatchNorm2d):
            layer.splits = splits


def norm2d(kind: str, channels: int) -> nn.Module:
    """The layer after a convolution: "batch", "group" or "none"."""
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    return nn.GroupNorm(max(1, channels // GROUP_CHANNELS), channels) if kind == "group" else nn.Identity()


def norm1d(kind: str, channels: int) -> nn.Module:
    """The layer after a dense one: "batch", "group" (over all channels of an image) or "none"."""
    if kind == "batch":
        return nn.BatchNorm1d(channels)
    return nn.LayerNorm(channels) if kind == "group" else nn.Identity()


def convolution(kind: str, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    """The convolution that goes with a norm: standardised before GroupNorm, with a bias without any."""
    make = StandardisedConv2d if kind == "group" else nn.Conv2d
    return make(inputs, outputs, kernel, stride, padding=(kernel - 1) // 2, bias=kind == "none")
