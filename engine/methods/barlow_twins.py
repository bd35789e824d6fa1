"""Barlow Twins: the two views' embeddings correlate number by number, and different numbers do not.

Zbontar et al. 2021, Self-Supervised Learning via Redundancy Reduction, https://arxiv.org/abs/2103.03230.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from engine.methods.joint_config import BarlowTwinsConfig
from engine.methods.self_supervised import SelfSupervised
from engine.methods.self_supervised_config import ViewsConfig
from engine.models.projection_heads import dense_head
from engine.training.step import Batch, StepResult

EPSILON = 1e-5  # of BatchNorm


class BarlowTwins(SelfSupervised):
    """The cross-correlation matrix of the views is pulled towards the identity."""

    Config: ClassVar[type[ViewsConfig]] = BarlowTwinsConfig

    def build_head(self) -> nn.Module:
        """Three dense layers, the last one plain."""
        config = self.config
        widths = (self.backbone.width, config.hidden_size, config.hidden_size, config.output_size)
        return dense_head(widths, config.norm, last_bias=False)

    def compare(self, batch: Batch) -> StepResult:
        first, second = (self.project(view) for view in batch.views)
        on_diagonal, off_diagonal = barlow_terms(first, second)
        loss = on_diagonal + self.config.redundancy_weight * off_diagonal
        return StepResult(loss, {"invariance": on_diagonal.detach(), "redundancy": off_diagonal.detach()})

    def chance(self) -> dict[str, float]:
        return {"unrelated views": float(self.config.output_size), "least possible": 0.0}


def barlow_terms(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Squares on and off the diagonal of the cross-correlation matrix less the identity; equation 1.

    Args:
        first: (N, D) embeddings of one view.
        second: (N, D) of the other; row i of both is image i.
    """
    correlation = _standard(first).T @ _standard(second) / len(first)  # (D, D)
    diagonal = torch.diagonal(correlation)
    on_diagonal = (1 - diagonal).square().sum()
    return on_diagonal, correlation.square().sum() - diagonal.square().sum()


def _standard(z: Tensor) -> Tensor:
    """Each number centred and scaled over the batch, by the biased variance."""
    centred = z - z.mean(0)
    return centred / (centred.square().mean(0) + EPSILON).sqrt()
