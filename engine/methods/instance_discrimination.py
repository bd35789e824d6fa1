"""Instance discrimination: every image is a class of its own, remembered in a bank.

Wu et al. 2018, Unsupervised Feature Learning via Non-Parametric Instance Discrimination,
https://arxiv.org/abs/1805.01978. The softmax runs over all images, as their code offers and small sets allow.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.methods.contrastive_config import InstanceConfig
from engine.methods.method import Task
from engine.methods.self_supervised import SelfSupervised
from engine.methods.self_supervised_config import ViewsConfig
from engine.models.network import Encoder
from engine.models.projection_heads import dense_head
from engine.training.step import Batch, StepResult


class InstanceDiscrimination(SelfSupervised):
    """One view an image; the bank holds a running mean of what each image was embedded to."""

    Config: ClassVar[type[ViewsConfig]] = InstanceConfig
    one_view = True
    bank: Tensor

    def __init__(self, backbone: Encoder, config: InstanceConfig, task: Task) -> None:
        super().__init__(backbone, config, task)
        bank = F.normalize(torch.randn(task.n_train, config.output_size), dim=1)
        self.register_buffer("bank", bank)
        self._seen: tuple[Tensor, Tensor] | None = None

    def build_head(self) -> nn.Module:
        """One dense layer."""
        return dense_head((self.backbone.width, self.config.output_size))

    def compare(self, batch: Batch) -> StepResult:
        assert batch.rows is not None, "the bank knows images by their place in the training split"
        rows = batch.rows.to(self.bank.device)
        z = F.normalize(self.project(batch.views[0]), dim=1)
        self._seen = (rows, z.detach())
        return StepResult(instance_loss(z, self.bank, rows, self.config.temperature))

    @torch.no_grad()
    def after_step(self) -> None:
        super().after_step()
        if self._seen is not None:
            rows, z = self._seen
            kept = self.config.bank_momentum
            self.bank[rows] = F.normalize(kept * self.bank[rows] + (1 - kept) * z, dim=1)
        self._seen = None

    def chance(self) -> dict[str, float]:
        n, temperature = self.task.n_train, self.config.temperature
        floor = math.log1p((n - 1) * math.exp(-2 / temperature))
        return {"chance, log(images)": math.log(n), "least possible": floor}


def instance_loss(z: Tensor, bank: Tensor, rows: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of each embedding finding its own entry among all of the bank; equation 2.

    Args:
        z: (N, D) of unit length.
        bank: (M, D) of unit length, without gradient.
        rows: (N,) which entry is whose.
        temperature: Divides the cosine similarities; above zero.
    """
    return F.cross_entropy(z @ bank.detach().T / temperature, rows)
