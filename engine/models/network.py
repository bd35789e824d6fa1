"""Encoder, the module: images in, features out, with its own normalisation inside."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine.models.backbones import BackboneInfo, backbone_info
from engine.models.trunks import Block, blocks

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)
HALVES = ("efficientnet_v2_l",)  # trained by torchvision with 0.5 / 0.5 instead of ImageNet's figures


PLAIN = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def _figures(info: BackboneInfo) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel that the weights expect to be taken out."""
    if info.family == "Autoencoder":  # it rebuilds what it reads
        return PLAIN
    return (HALF, HALF) if info.small or info.arch in HALVES else (IMAGENET_MEAN, IMAGENET_STD)


class Encoder(nn.Module):
    """A trunk that reads images in [0, 1].

    Attributes:
        arch: Architecture, a name that `backbone_info` knows.
        width: Features an image.
        image_size: The side it was built for.
        provenance: Where its weights came from: "random", "pretrained", "file" or "run".
        source: The encoder name it was built from.
        blocks: Coarse parts, from the image to the features.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, arch: str, trunk: nn.Module, image_size: int, provenance: str = "random", source: str = ""
    ) -> None:
        super().__init__()
        info = backbone_info(arch)
        self.arch = arch
        self.width = info.width
        self.image_size = image_size
        self.provenance = provenance
        self.source = source or f"random:{arch}"
        self.trunk = trunk
        mean, std = _figures(info)
        self.plain = (mean, std) == PLAIN
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    @property
    def blocks(self) -> tuple[Block, ...]:
        return blocks(self.arch, self.trunk)

    @property
    def head_is_map(self) -> bool:
        """Whether the head reads a (N, width, h, w) map; only SqueezeNet's does."""
        return backbone_info(self.arch).family == "SqueezeNet"

    def normalise(self, images: Tensor) -> Tensor:
        """Centre and scale (N, 3, H, W) images in [0, 1] the way the weights expect."""
        return images if self.plain else (images - self.mean) / self.std

    def head_features(self, images: Tensor) -> Tensor:
        """What a classification head reads.

        Args:
            images: (N, 3, H, W) in [0, 1].

        Returns:
            (N, width), or a (N, width, h, w) map for SqueezeNet.
        """
        return self.trunk(self.normalise(images))

    def forward(self, images: Tensor) -> Tensor:
        """Features of images.

        Args:
            images: (N, 3, H, W) in [0, 1].

        Returns:
            (N, width).
        """
        features = self.head_features(images)
        return features.mean((2, 3)) if features.ndim == 4 else features
