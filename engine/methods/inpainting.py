"""In-painting: part of the image is hidden, and only what comes out there counts.

Pathak et al. 2016, Context Encoders (https://arxiv.org/abs/1604.07379), without its adversarial term: the
mean of what could stand there is blurry, and that is the lesson.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from engine.methods.autoencoder import Autoencoder
from engine.methods.autoencoder_config import CodeConfig, InpaintingConfig
from engine.methods.denoising import random_like

FILL = 0.5  # what stands in the hole


def hole_mask(images: Tensor, hole: str, size: float, draws: torch.Generator | None = None) -> Tensor:
    """Where images are hidden.

    Args:
        images: (N, 3, H, W).
        hole: "centre", "half" (the lower one) or "block", anywhere, an own place for each image.
        size: Side of the centre or the block as a share of the image's side.
        draws: Source of chance, on the CPU; torch's own if None.

    Returns:
        (N, 1, H, W) of 0 and 1; 1 is hidden.
    """
    n, _, height, width = images.shape
    rows, columns = torch.arange(height, device=images.device), torch.arange(width, device=images.device)
    if hole == "half":
        return (rows >= height // 2).float()[None, None, :, None].expand(n, 1, height, width)
    tall, wide = max(1, round(size * height)), max(1, round(size * width))
    free = torch.tensor([height - tall, width - wide], device=images.device)
    place = torch.full((n, 2), 0.5, device=images.device)
    if hole == "block":
        place = random_like(images, (n, 2), draws)
    corner = (place * (free + 1)).floor().minimum(free) if hole == "block" else (place * free).round()
    inside = (rows >= corner[:, :1]) & (rows < corner[:, :1] + tall)  # (N, H)
    across = (columns >= corner[:, 1:]) & (columns < corner[:, 1:] + wide)
    return (inside[:, :, None] & across[:, None, :]).float()[:, None]


class Inpainting(Autoencoder):
    """Sees the image with a grey hole; the loss is the mean over the hole."""

    Config: ClassVar[type[CodeConfig]] = InpaintingConfig
    like_pca = False

    def damage(self, images: Tensor, draws: torch.Generator | None) -> tuple[Tensor, Tensor | None]:
        mask = hole_mask(images, self.config.hole, self.config.hole_size, draws)
        return hide(images, mask), mask


def hide(images: Tensor, mask: Tensor) -> Tensor:
    """(N, 3, H, W) images with grey where (N, 1, H, W) mask is 1."""
    return images * (1 - mask) + FILL * mask
