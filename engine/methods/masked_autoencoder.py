"""Masked autoencoder: a small vision transformer sees a quarter of the patches and predicts the others.

He et al. 2021, Masked Autoencoders Are Scalable Vision Learners (https://arxiv.org/abs/2111.06377), scaled
down to small images: four layers, one in the decoder; AdamW with torch's own betas.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from engine.evaluation import reconstruction as rebuilt
from engine.methods.autoencoder import Autoencoder, Look
from engine.methods.autoencoder_config import CodeConfig, MaskedConfig
from engine.methods.denoising import random_like
from engine.methods.inpainting import hide
from engine.methods.method import Task
from engine.models.autoencoders import PatchDecoder, patchify, seen_by, unpatchify
from engine.models.codes import CodeArch
from engine.models.network import Encoder
from engine.training.step import Batch, StepResult


def random_mask(
    images: Tensor, patches: int, share: float, draws: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Which patches are seen, an own choice for each image, by sorting noise.

    Args:
        images: (N, …), for their number and device.
        patches: L, of an image.
        share: Of the patches that are hidden; int(L · (1 - share)) are kept, and at least one.
        draws: Source of chance, on the CPU; torch's own if None.

    Returns:
        (N, k) places that are kept, and (N, L) where each place's token stands among the kept followed by
        the hidden.
    """
    order = random_like(images, (len(images), patches), draws).argsort(1)
    kept = max(1, int(patches * (1 - share)))
    return order[:, :kept], order.argsort(1)


class MaskedAutoencoder(Autoencoder):
    """The loss is the squared error on hidden patches; the features are the mean over all patches' tokens."""

    Config: ClassVar[type[CodeConfig]] = MaskedConfig
    like_pca = False
    decodes = False
    decoder: PatchDecoder

    def __init__(self, backbone: Encoder, config: CodeConfig, task: Task) -> None:
        super().__init__(backbone, config, task)
        self.loss_kind = "linear"  # predicts values, not logits

    @classmethod
    def own_backbone(cls, config: Any, task: Task) -> str:
        reads = "gray" if task.gray else "colour"
        return f"random:{CodeArch('vit', task.image_size, reads, config.hidden, config.hidden)}"

    def build_decoder(self) -> nn.Module:
        return PatchDecoder(self.arch, self.arch.channels)

    @property
    def patches(self) -> int:
        return (self.arch.side // self.arch.patch) ** 2

    def predict(self, images: Tensor, draws: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """(N, L, patch² C) predicted pixels of all patches, and (N, L) 1 where they were hidden."""
        keep, restore = random_mask(images, self.patches, self.config.mask_share, draws)
        trunk: Any = self.backbone.trunk
        predicted = self.decoder(trunk.tokens(self.backbone.normalise(images), keep), restore)
        return predicted.float(), (restore >= keep.shape[1]).float()

    def wanted(self, images: Tensor) -> Tensor:
        """(N, L, patch² C) what is to be predicted."""
        return patchify(seen_by(images, self.arch.reads), self.arch.patch)

    def damage(self, images: Tensor, draws: torch.Generator | None) -> tuple[Tensor, Tensor | None]:
        keep, restore = random_mask(images, self.patches, self.config.mask_share, draws)
        mask = self._pixels_of((restore >= keep.shape[1]).float())
        return hide(images, mask), mask

    def _pixels_of(self, hidden: Tensor) -> Tensor:
        """(N, L) of patches -> (N, 1, H, W) of pixels."""
        return unpatchify(hidden[:, :, None].expand(-1, -1, self.arch.patch**2), self.arch.patch, 1)

    def norms(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """(N, L, 1) mean and spread of each patch, or 0 and 1 where patches are predicted as they are."""
        if not self.config.normalise_patches:
            return patches.new_zeros(1), patches.new_ones(1)
        return patches.mean(2, keepdim=True), (patches.var(2, keepdim=True) + 1e-6).sqrt()

    def training_step(self, batch: Batch) -> StepResult:
        (images,) = batch.views
        losses, hidden = self._losses(images, None)
        return StepResult((losses * hidden).sum() / hidden.sum())

    def _losses(self, images: Tensor, draws: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """(N, L) mean squared error of each patch, and (N, L) where it counts."""
        predicted, hidden = self.predict(images, draws)
        wanted = self.wanted(images)
        mean, spread = self.norms(wanted)
        return ((predicted - (wanted - mean) / spread) ** 2).mean(2), hidden

    @torch.no_grad()
    def evaluation_step(self, batch: Batch) -> StepResult:
        (images,) = batch.views
        rebuilt.check_targets(images)
        look = self.look(images, batch.index)
        losses, hidden = self._losses(images, self.draws(batch.index))
        loss = (losses * hidden).sum() / hidden.sum()
        share = hidden.mean()
        error = look.error.flatten(1).mean(1) / share
        outputs = {
            "error": error,
            "loss": (losses * hidden).sum(1) / hidden.sum(1),
            "code": self.encode(images),
        }
        return StepResult(loss, {}, outputs)

    @torch.no_grad()
    def look(
        self, images: Tensor, index: Tensor, damaged: tuple[Tensor, Tensor | None] | None = None
    ) -> Look:
        """Seen patches, all patches, and the error on hidden ones; its damage is always its own."""
        predicted, hidden = self.predict(images, self.draws(index))
        wanted = self.wanted(images)
        mean, spread = self.norms(wanted)
        patch, channels = self.arch.patch, self.arch.channels
        mask = self._pixels_of(hidden)
        values = unpatchify(predicted * spread + mean, patch, channels)
        error = (values - self.targets(images)) ** 2 * mask
        made = torch.where(mask.bool(), self.picture(values, images), images)
        score = rebuilt.mean_of_images(error, mask)
        return Look(hide(images, mask), made, error.mean(1, keepdim=True), score, self.encode(images))
