"""VICReg: views agree, every number of the embedding varies, and no two of them say the same.

Bardes, Ponce and LeCun 2022, Variance-Invariance-Covariance Regularization, https://arxiv.org/abs/2105.04906.
The weights of the published code are followed: the hinge is halved over the two views, covariances are added.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.methods.joint_config import VICRegConfig
from engine.methods.self_supervised import SelfSupervised
from engine.methods.self_supervised_config import ViewsConfig
from engine.models.projection_heads import dense_head
from engine.training.step import Batch, StepResult

EPSILON = 1e-4


class VICReg(SelfSupervised):
    """Three terms on embeddings that are not normalised."""

    Config: ClassVar[type[ViewsConfig]] = VICRegConfig

    def build_head(self) -> nn.Module:
        """The expander: three dense layers, the last one plain."""
        config = self.config
        widths = (self.backbone.width, config.hidden_size, config.hidden_size, config.output_size)
        return dense_head(widths, config.norm, last_bias=False)

    def compare(self, batch: Batch) -> StepResult:
        config = self.config
        first, second = (self.project(view) for view in batch.views)
        invariance, variance, covariance = vicreg_terms(first, second)
        loss = (
            config.invariance_weight * invariance
            + config.variance_weight * variance
            + config.covariance_weight * covariance
        )
        terms = {"invariance": invariance, "variance": variance, "covariance": covariance}
        return StepResult(loss, {name: term.detach() for name, term in terms.items()})

    def chance(self) -> dict[str, float]:
        # all on one point: no distance, no covariance, the whole hinge
        collapsed = self.config.variance_weight * (1 - EPSILON**0.5)
        return {"collapsed": collapsed, "least possible": 0.0}


def vicreg_terms(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Invariance, variance and covariance; equations 1 to 6.

    Args:
        first: (N, D) embeddings of one view, N at least 2.
        second: (N, D) of the other; row i of both is image i.
    """
    invariance = F.mse_loss(first, second)
    variance = (_hinge(first) + _hinge(second)) / 2
    return invariance, variance, _covariance(first) + _covariance(second)


def _hinge(z: Tensor) -> Tensor:
    """How much the standard deviation of each number falls short of 1; the unbiased variance."""
    return F.relu(1 - (z.var(0) + EPSILON).sqrt()).mean()


def _covariance(z: Tensor) -> Tensor:
    """Squares off the diagonal of the covariance matrix, divided by D."""
    centred = z - z.mean(0)
    matrix = centred.T @ centred / (len(z) - 1)
    return (matrix.square().sum() - torch.diagonal(matrix).square().sum()) / z.shape[1]
