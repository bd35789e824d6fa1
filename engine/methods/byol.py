"""BYOL: predict how a slowly moving copy of the network sees the other view; no negatives.

Grill et al. 2020, Bootstrap Your Own Latent, https://arxiv.org/abs/2006.07733.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.methods.joint_config import BYOLConfig
from engine.methods.method import Outcome, Task
from engine.methods.momentum import cosine_momentum, ema_update, frozen_copy
from engine.methods.self_supervised import SelfSupervised
from engine.methods.self_supervised_config import ViewsConfig
from engine.models.network import Encoder
from engine.models.projection_heads import dense_head
from engine.training.step import Batch, StepResult


class BYOL(SelfSupervised):
    """Online network with a predictor, target network without; the loss goes both ways.

    Where the gradient is not stopped, the online network's own embeddings are the targets.
    """

    Config: ClassVar[type[ViewsConfig]] = BYOLConfig

    def __init__(self, backbone: Encoder, config: BYOLConfig, task: Task) -> None:
        super().__init__(backbone, config, task)
        size = config.output_size
        predictor = dense_head(
            (size, config.predictor_size, size), config.norm, hidden_bias=True, last_bias=False
        )
        self.predictor = predictor if config.predictor else nn.Identity()
        self.rate_factors = {"predictor.": config.predictor_rate}
        self.target_encoder = frozen_copy(self.backbone)
        self.target_head = frozen_copy(self.projection_head)

    def build_head(self) -> nn.Module:
        """No BatchNorm on the output."""
        config = self.config
        widths = (self.backbone.width, config.hidden_size, config.output_size)
        return dense_head(widths, config.norm, hidden_bias=True, last_bias=False)

    @property
    def ema_rate(self) -> float:
        """The target's momentum at this step."""
        base = self.config.ema_momentum
        if self.config.ema_schedule == "constant":
            return base
        return cosine_momentum(base, int(self.step), self.total_steps)

    def compare(self, batch: Batch) -> StepResult:
        online = [self.project(view) for view in batch.views]
        predicted = [self.predictor(z).float() for z in online]
        targets = self._targets(batch.views) if self.config.stop_gradient else online
        loss = byol_loss(predicted[0], targets[1]) + byol_loss(predicted[1], targets[0])
        rate = torch.tensor(self.ema_rate)
        return StepResult(loss, {"target_momentum": rate})

    @torch.no_grad()
    def _targets(self, views: tuple[Tensor, ...]) -> list[Tensor]:
        return [self.target_head(self.target_encoder(view)).float() for view in views]

    def after_step(self) -> None:
        """The target follows after the optimiser's step; the predictor has no twin."""
        rate = self.ema_rate
        super().after_step()
        ema_update(self.target_encoder.parameters(), self.backbone.parameters(), rate)
        ema_update(self.target_head.parameters(), self.projection_head.parameters(), rate)

    def chance(self) -> dict[str, float]:
        return {"unrelated views": 4.0, "least possible": 0.0}

    def report(self, outcomes: Mapping[str, Outcome]) -> dict[str, Any]:
        return {**super().report(outcomes), "target_momentum": self.ema_rate}


def byol_loss(p: Tensor, z: Tensor) -> Tensor:
    """2 − 2 cos of each prediction and its target, the mean over the batch; equation 2.

    Args:
        p: (N, D) predictions.
        z: (N, D) targets.
    """
    return (2 - 2 * (F.normalize(p, dim=1) * F.normalize(z, dim=1)).sum(1)).mean()
