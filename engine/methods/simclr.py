"""SimCLR: two views of an image find each other among those of all other images of the batch.

Chen et al. 2020, A Simple Framework for Contrastive Learning of Visual Representations,
https://arxiv.org/abs/2002.05709.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.methods.contrastive_config import SimCLRConfig
from engine.methods.self_supervised import SelfSupervised
from engine.methods.self_supervised_config import ViewsConfig
from engine.training.step import Batch, StepResult


class SimCLR(SelfSupervised):
    """NT-Xent over both views of a batch; the other 2N − 2 views are the negatives."""

    Config: ClassVar[type[ViewsConfig]] = SimCLRConfig

    def compare(self, batch: Batch) -> StepResult:
        z = self.project(torch.cat(batch.views))  # (2N, D), one forward pass, as both views are drawn alike
        return StepResult(nt_xent(z, self.config.temperature))

    def chance(self) -> dict[str, float]:
        n, temperature = self.batch_size, self.config.temperature
        if n < 2:
            return {}
        return {"chance, log(2N−1)": math.log(2 * n - 1), "least possible": nt_xent_floor(n, temperature)}


def nt_xent(z: Tensor, temperature: float) -> Tensor:
    """Normalised temperature-scaled cross-entropy, equation 1; the mean over all 2N anchors.

    The published code returns the sum of the two views' means, which is twice this.

    Args:
        z: (2N, D) embeddings; rows i and i + N are the views of one image.
        temperature: Divides the cosine similarities; above zero.
    """
    z = F.normalize(z, dim=1)
    logits = z @ z.T / temperature  # (2N, 2N)
    logits = logits.masked_fill(torch.eye(len(z), dtype=torch.bool, device=z.device), float("-inf"))
    positive = torch.arange(len(z), device=z.device).roll(len(z) // 2)  # i <-> i + N
    return F.cross_entropy(logits, positive)


def nt_xent_floor(n: int, temperature: float) -> float:
    """The least value of N ≥ 2 pairs: views together, images at the corners of a simplex."""
    other = -1 / (n - 1)
    return math.log1p(2 * (n - 1) * math.exp((other - 1) / temperature))
