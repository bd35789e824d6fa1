"""MoCo: a query finds its key among a queue of keys that a slowly moving encoder made in earlier steps.

He et al. 2020, Momentum Contrast for Unsupervised Visual Representation Learning
(https://arxiv.org/abs/1911.05722); version 2 with a head of two layers: Chen et al. 2020, Improved Baselines
with Momentum Contrastive Learning (https://arxiv.org/abs/2003.04297).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.errors import UserError
from engine.methods.contrastive_config import MoCoConfig
from engine.methods.method import Task
from engine.methods.momentum import KeyQueue, ema_update, frozen_copy
from engine.methods.self_supervised import SelfSupervised
from engine.methods.self_supervised_config import ViewsConfig
from engine.models.network import Encoder
from engine.models.normalisation import split_batch_norm
from engine.models.projection_heads import dense_head
from engine.training.step import Batch, StepResult


class MoCo(SelfSupervised):
    """InfoNCE of queries against their keys and a queue; the key encoder follows by a running mean."""

    Config: ClassVar[type[ViewsConfig]] = MoCoConfig

    def __init__(self, backbone: Encoder, config: MoCoConfig, task: Task) -> None:
        super().__init__(backbone, config, task)
        if config.norm == "batch" and config.batch_norm_splits > 1:
            split_batch_norm(backbone, self._splits())
        self.key_encoder = frozen_copy(self.backbone)
        self.key_head = frozen_copy(self.projection_head)
        added = self.batch_size * (2 if config.symmetric else 1)
        if config.queue_size % added:
            raise UserError(
                f"There are only {self.batch_size} training images to a step, and a queue of "
                f"{config.queue_size} keys is no multiple of the {added} keys that it adds: use "
                f"{self._would_fit()}."
            )
        self.queue = KeyQueue(config.queue_size, config.output_size)
        self._fresh: list[Tensor] = []

    def _splits(self) -> int:
        """BatchNorm parts that this batch can be cut into, none of them an image alone."""
        n, asked = self.batch_size, self.config.batch_norm_splits
        return max((parts for parts in range(1, asked + 1) if n % parts == 0 and n >= 2 * parts), default=1)

    def _would_fit(self) -> str:
        """Settings for so few images that go together."""
        config = self.config
        batch = 2 ** int(math.log2(max(2, self.task.n_train)))
        keys = batch * (2 if config.symmetric else 1)
        wanted = {"batch_size": batch, "queue_size": max(1, config.queue_size // keys) * keys}
        if batch % config.batch_norm_splits:
            wanted["batch_norm_splits"] = math.gcd(batch, config.batch_norm_splits)
        return ", ".join(f"{name} {value}" for name, value in wanted.items())

    def build_head(self) -> nn.Module:
        """One dense layer (v1) or two (v2), without BatchNorm."""
        config = self.config
        hidden = () if config.head == "linear" else (config.hidden_size,)
        norm = "none" if config.norm == "batch" and config.head != "mlp_norm" else config.norm
        return dense_head((self.backbone.width, *hidden, config.output_size), norm)

    def compare(self, batch: Batch) -> StepResult:
        first, second = batch.views
        self._follow()
        self._fresh = [self._keys(second)]
        loss = self._loss(first, self._fresh[0])
        if self.config.symmetric:
            self._fresh.append(self._keys(first))
            loss = (loss + self._loss(second, self._fresh[1])) / 2
        return StepResult(loss)

    def _loss(self, images: Tensor, keys: Tensor) -> Tensor:
        return info_nce(self.project(images), keys, self.queue.keys, self.config.temperature)

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the key encoder towards the query encoder, parameters only, before it makes keys."""
        momentum = self.config.ema_momentum
        ema_update(self.key_encoder.parameters(), self.backbone.parameters(), momentum)
        ema_update(self.key_head.parameters(), self.projection_head.parameters(), momentum)

    @torch.no_grad()
    def _keys(self, images: Tensor) -> Tensor:
        """(N, D) unit keys; shuffled before BatchNorm sees them and put back in order afterwards."""
        order = torch.randperm(len(images)).to(images.device)
        keys = self.key_head(self.key_encoder(images[order])).float()
        return F.normalize(keys, dim=1)[order.argsort()]

    def after_step(self) -> None:
        super().after_step()
        if self._fresh:  # of the step before; a loss that nobody stepped on leaves none
            self.queue.enqueue(torch.cat(self._fresh), int(self.step))
        self._fresh = []

    def chance(self) -> dict[str, float]:
        keys, temperature = self.config.queue_size, self.config.temperature
        # a query opposite to all K negatives and on its key
        floor = math.log1p(keys * math.exp(-2 / temperature))
        return {"chance, log(1+K)": math.log1p(keys), "least possible": floor}

    def frame(self, batch: Batch, views: Callable[[], tuple[Tensor, ...]]) -> dict[str, np.ndarray]:
        born = self.queue.born.cpu().numpy()
        age = np.where(born < 0, -1, int(self.step) - born)
        return {**super().frame(batch, views), "queue_age": age.astype(np.int32)}


def info_nce(q: Tensor, k: Tensor, queue: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of each query finding its own key among that key and the queue.

    Args:
        q: (N, D) queries.
        k: (N, D) their keys, without gradient.
        queue: (K, D) negatives.
        temperature: Divides the cosine similarities; above zero.
    """
    q, k, queue = (F.normalize(x, dim=1) for x in (q, k.detach(), queue.detach()))
    positive = (q * k).sum(1, keepdim=True)  # (N, 1)
    logits = torch.cat([positive, q @ queue.T], dim=1) / temperature  # (N, 1 + K)
    return F.cross_entropy(logits, torch.zeros(len(q), dtype=torch.long, device=q.device))
