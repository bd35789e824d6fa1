"""Colorization and its two-way sibling: predict the colour from the light, and the light from the colour.

Zhang, Isola, Efros 2016, Colorful Image Colorization (https://arxiv.org/abs/1603.08511), as plain regression,
whose mean colours come out pale; 2017, Split-Brain Autoencoders (https://arxiv.org/abs/1611.09842).
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from engine.errors import UserError
from engine.methods.autoencoder import Autoencoder
from engine.methods.autoencoder_config import CodeConfig, ColorizationConfig, SplitBrainConfig
from engine.methods.method import Task
from engine.models import lab
from engine.models.autoencoders import build_decoder
from engine.models.codes import CodeArch


def _need_colour(task: Task) -> None:
    if task.gray:
        raise UserError(
            "All images of this set are grey, so there is no colour to predict: choose a set with colours, "
            "or another kind of autoencoder."
        )


class Colorization(Autoencoder):
    """Sees the lightness of an image and predicts the two channels of its colour."""

    Config: ClassVar[type[CodeConfig]] = ColorizationConfig
    like_pca = False
    decodes = False

    @classmethod
    def own_backbone(cls, config: Any, task: Task) -> str:
        _need_colour(task)
        return (
            f"random:{CodeArch(config.network, task.image_size, 'light', config.hidden, config.latent_size)}"
        )

    def build_decoder(self) -> nn.Module:
        return build_decoder(self.arch, 2)

    def targets(self, images: Tensor) -> Tensor:
        return lab.colour(images).clamp(0, 1)

    def picture(self, values: Tensor, images: Tensor) -> Tensor:
        return lab.from_parts(lab.lightness(images), values.float())

    def shown(self, seen: Tensor) -> Tensor:
        light = lab.lightness(seen)
        return lab.from_parts(light, torch.full_like(seen[:, :2], 0.5)).clamp(0, 1)


class SplitBrain(Autoencoder):
    """Two half networks: one predicts colour from lightness, the other lightness from colour."""

    Config: ClassVar[type[CodeConfig]] = SplitBrainConfig
    like_pca = False

    @classmethod
    def own_backbone(cls, config: Any, task: Task) -> str:
        _need_colour(task)
        return f"random:{CodeArch('split', task.image_size, 'colour', config.hidden, config.latent_size)}"

    def build_decoder(self) -> nn.Module:
        return SplitDecoder(self.arch)

    def targets(self, images: Tensor) -> Tensor:
        parts = lab.rgb_to_lab(images)
        return torch.cat([parts[:, :1] / 100, parts[:, 1:] / (2 * lab.REACH) + 0.5], dim=1).clamp(0, 1)

    def picture(self, values: Tensor, images: Tensor) -> Tensor:
        return lab.from_parts(values[:, :1].float(), values[:, 1:].float())


class SplitDecoder(nn.Module):
    """Colour from the code's first half, lightness from its second: (N, latent) -> (N, 3, H, W) L, a, b."""

    def __init__(self, arch: CodeArch) -> None:
        super().__init__()
        self.first = arch.latent // 2
        self.to_colour = build_decoder(arch, 2, self.first)
        self.to_light = build_decoder(arch, 1, arch.latent - self.first)

    def forward(self, codes: Tensor) -> Tensor:
        light, colour = codes.split([self.first, codes.shape[1] - self.first], dim=1)
        return torch.cat([self.to_light(colour), self.to_colour(light)], dim=1)
