"""Denoising autoencoder: what goes in is damaged, what must come out is clean.

Vincent et al. 2008, Extracting and Composing Robust Features with Denoising Autoencoders.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from engine.methods.autoencoder import Autoencoder
from engine.methods.autoencoder_config import CodeConfig, DenoisingConfig


def add_noise(images: Tensor, kind: str, level: float, draws: torch.Generator | None = None) -> Tensor:
    """Damaged copies of images, cut to [0, 1] so that they can be shown as the network sees them.

    Args:
        images: (N, 3, H, W) in [0, 1].
        kind: "gaussian", the same noise in all channels of a grey image; "mask", whole pixels set to black.
        level: Standard deviation, or the share of pixels.
        draws: Source of chance, on the CPU; torch's own if None.
    """
    n, _, height, width = images.shape
    if kind == "mask":
        kept = random_like(images, (n, 1, height, width), draws) >= level
        return images * kept
    gray = bool((images[:, :1] == images).all())
    shape = (n, 1 if gray else 3, height, width)
    if draws is None:
        noise = torch.randn(shape, device=images.device)
    else:
        noise = torch.randn(shape, generator=draws).to(images.device)
    return (images + level * noise).clamp(0, 1)


def random_like(images: Tensor, shape: tuple[int, ...], draws: torch.Generator | None) -> Tensor:
    """Uniform numbers on the images' device, from a generator on the CPU or from torch's own."""
    if draws is None:
        return torch.rand(shape, device=images.device)
    return torch.rand(shape, generator=draws).to(images.device)


class DenoisingAutoencoder(Autoencoder):
    """The loss compares with the clean image, everywhere."""

    Config: ClassVar[type[CodeConfig]] = DenoisingConfig
    like_pca = False

    def damage(self, images: Tensor, draws: torch.Generator | None) -> tuple[Tensor, Tensor | None]:
        return add_noise(images, self.config.noise, self.config.noise_level, draws), None
