"""Variational autoencoder: codes are clouds pulled towards a standard normal, so any point can be decoded.

Kingma and Welling 2013, Auto-Encoding Variational Bayes (https://arxiv.org/abs/1312.6114); β as in Higgins et
al. 2017, beta-VAE.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from engine.evaluation import reconstruction as rebuilt
from engine.methods.autoencoder import ACTIVE, Autoencoder
from engine.methods.autoencoder_config import CodeConfig, VariationalConfig
from engine.methods.method import Outcome, Task
from engine.models.network import Encoder
from engine.training.step import Batch, StepResult


class VariationalAutoencoder(Autoencoder):
    """Loss: mean over pixels of the reconstruction, plus β times the divergence divided by the pixels.

    So at β = 1 it is the negative evidence lower bound of an image, divided by its numbers.
    """

    Config: ClassVar[type[CodeConfig]] = VariationalConfig

    def __init__(self, backbone: Encoder, config: CodeConfig, task: Task) -> None:
        super().__init__(backbone, config, task)
        trunk: Any = backbone.trunk
        self.log_variance = nn.Linear(trunk.width, self.arch.latent)

    def cloud(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(N, d) mean and log variance of each image's code."""
        trunk: Any = self.backbone.trunk
        features = trunk.features(self.backbone.normalise(images))
        return trunk.code(features).float(), self.log_variance(features).float()

    def training_step(self, batch: Batch) -> StepResult:
        (images,) = batch.views
        mean, log_variance = self.cloud(images)
        code = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
        result = self._result(images, None, self.decoder(code))
        divergence = kl_to_normal(mean, log_variance)
        return self._with_divergence(result, divergence)

    def _with_divergence(self, result: StepResult, divergence: Tensor) -> StepResult:
        """Add β · KL; `divergence` is (N, d) in nats."""
        nats = divergence.sum(1).mean()
        loss = result.given_loss + self.config.beta * nats / self.arch.inputs
        logs = {**result.logs, "divergence": nats.detach(), "rebuilding_loss": result.given_loss.detach()}
        return StepResult(loss, logs, result.outputs)

    @torch.no_grad()
    def evaluation_step(self, batch: Batch) -> StepResult:
        """The same loss with one seeded draw for each image; pictures and errors take the mean code."""
        (images,) = batch.views
        rebuilt.check_targets(images)
        plain = super().evaluation_step(batch)
        mean, log_variance = self.cloud(images)
        noise = torch.randn(mean.shape, generator=self.draws(batch.index)).to(mean.device)
        sampled = self._result(images, None, self.decoder(mean + (0.5 * log_variance).exp() * noise))
        divergence = kl_to_normal(mean, log_variance)
        outputs = {**plain.outputs, "divergence": divergence}
        return self._with_divergence(StepResult(sampled.loss, plain.logs, outputs), divergence)

    def report(self, outcomes: Mapping[str, Outcome]) -> dict[str, Any]:
        return {
            **super().report(outcomes),
            "active": active_units(outcomes["train"]),
            "beta": self.config.beta,
        }

    def warnings(self, outcomes: Mapping[str, Outcome]) -> list[str]:
        active, latent = active_units(outcomes["train"]), self.arch.latent
        if active == 0:
            return [
                f"The posterior has collapsed: none of the code's {latent} numbers depends on the image, so "
                "every reconstruction is the same average. Lower beta, train longer, or use cross-entropy."
            ]
        if active <= latent // 4:
            return [
                f"Only {active} of the {latent} numbers of the code depend on the image; the others have "
                "collapsed to noise. A lower beta would use more of them."
            ]
        return super().warnings(outcomes)


def kl_to_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Divergence of N(mean, variance) from N(0, 1) for each number of the code, in nats: (N, d)."""
    return 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance)


def active_units(outcome: Outcome) -> int:
    """Numbers of the code whose mean varies over images by more than 0.01.

    Burda et al. 2015, Importance Weighted Autoencoders, section 5.2, https://arxiv.org/abs/1509.00519.
    """
    return int((outcome.outputs["code"].var(0) > ACTIVE).sum())
