"""SimSiam: predict the other view through the same network; a stopped gradient is all that keeps it apart.

Chen and He 2021, Exploring Simple Siamese Representation Learning, https://arxiv.org/abs/2011.10566.
"""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from engine.methods.joint_config import SimSiamConfig
from engine.methods.method import Task
from engine.methods.self_supervised import SelfSupervised
from engine.methods.self_supervised_config import ViewsConfig
from engine.models.network import Encoder
from engine.models.projection_heads import dense_head
from engine.training.step import Batch, StepResult


class SimSiam(SelfSupervised):
    """BYOL without the moving copy; the predictor's learning rate does not fall."""

    Config: ClassVar[type[ViewsConfig]] = SimSiamConfig
    constant_rate = ("predictor.",)

    def __init__(self, backbone: Encoder, config: SimSiamConfig, task: Task) -> None:
        super().__init__(backbone, config, task)
        size = config.output_size
        predictor = dense_head((size, config.predictor_size, size), config.norm)
        self.predictor = predictor if config.predictor else nn.Identity()

    def build_head(self) -> nn.Module:
        """Three dense layers, each with BatchNorm; the last one's has no scale and shift."""
        config = self.config
        widths = (self.backbone.width, config.hidden_size, config.hidden_size, config.output_size)
        return dense_head(widths, config.norm, last_bias=config.norm != "batch", last_norm=True)

    def compare(self, batch: Batch) -> StepResult:
        z = [self.project(view) for view in batch.views]
        p = [self.predictor(each).float() for each in z]
        targets = [each.detach() for each in z] if self.config.stop_gradient else z
        return StepResult((simsiam_loss(p[0], targets[1]) + simsiam_loss(p[1], targets[0])) / 2)

    def chance(self) -> dict[str, float]:
        return {"unrelated views": 0.0, "least possible": -1.0}


def simsiam_loss(p: Tensor, z: Tensor) -> Tensor:
    """Minus the cosine of each prediction and its target, the mean over the batch; equation 1.

    Args:
        p: (N, D) predictions.
        z: (N, D) targets, whose gradient the caller has stopped or not.
    """
    return -(F.normalize(p, dim=1) * F.normalize(z, dim=1)).sum(1).mean()
