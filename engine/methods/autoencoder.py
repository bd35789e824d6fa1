"""Autoencoders squeeze an image into a code and rebuild it: the plain one, the linear one, the shared parts.

Hinton and Salakhutdinov 2006, Reducing the Dimensionality of Data with Neural Networks; the linear one spans
the principal subspace: Baldi and Hornik 1989, Neural Networks and Principal Component Analysis.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from engine.data.augment import VIEWS, View
from engine.errors import UserError
from engine.evaluation import reconstruction as rebuilt
from engine.methods.autoencoder_config import AutoencoderConfig, CodeConfig, LinearConfig
from engine.methods.method import Images, Method, Outcome, Task
from engine.models.autoencoders import build_decoder
from engine.models.codes import CodeArch, parse_code_arch
from engine.models.heads import layer_rows
from engine.models.network import Encoder
from engine.training.step import Batch, Monitor, StepResult

PCA_SIZES = (1, 2, 4, 8, 16, 32, 64)
PCA_IMAGES = 5000  # at most so many; more change little and take long
ACTIVE = 0.01  # variance of a code's number below which it says nothing (Burda et al. 2015)


@dataclass(frozen=True)
class Look:
    """What an autoencoder makes of images, ready to be looked at.

    Attributes:
        given: (N, 3, H, W) what went in, damaged where the method damages.
        made: (N, 3, H, W) what came out, as a picture.
        error: (N, 1, H, W) squared error of each pixel, mean over channels; 0 where it does not count.
        score: (N,) the loss of each image.
        code: (N, d).
    """

    given: Tensor
    made: Tensor
    error: Tensor
    score: Tensor
    code: Tensor


class Autoencoder(Method):
    """Encoder, code, decoder; the target is the image itself."""

    Config: ClassVar[type[CodeConfig]] = AutoencoderConfig
    monitor = Monitor("loss", higher=False)
    # Whether a code alone can be made into a picture.
    decodes: ClassVar[bool] = True
    # Whether PCA solves the same task: the whole image from the whole image.
    like_pca: ClassVar[bool] = True
    config: Any

    def __init__(self, backbone: Encoder, config: CodeConfig, task: Task) -> None:
        super().__init__(backbone, config, task)
        arch = parse_code_arch(backbone.arch)
        if arch is None:
            raise UserError("An autoencoder brings its own network: leave the backbone out.")
        self.arch = arch
        self.loss_kind = str(getattr(config, "loss", "mse"))
        self.suits_low_precision = arch.kind in ("conv", "split")
        self.decoder = self.build_decoder()

    def build_decoder(self) -> torch.nn.Module:
        """The mirror image of the encoder."""
        return build_decoder(self.arch, self.arch.channels)

    @classmethod
    def own_backbone(cls, config: Any, task: Task) -> str:
        """The name of the encoder that this recipe trains."""
        reads = "gray" if task.gray else "colour"
        return f"random:{CodeArch(config.network, task.image_size, reads, config.hidden, config.latent_size)}"

    @property
    def views(self) -> tuple[View, ...]:
        return (VIEWS["none"],)

    def damage(self, images: Tensor, draws: torch.Generator | None) -> tuple[Tensor, Tensor | None]:
        """What the encoder gets to see, and where the loss counts (None: everywhere).

        Args:
            images: (N, 3, H, W) in [0, 1].
            draws: Source of all chance; torch's own while training.

        Returns:
            (N, 3, H, W), and (N, 1, H, W) of 0 and 1 or None.
        """
        return images, None

    def targets(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) images -> (N, C, H, W) in [0, 1], what the decoder must predict."""
        return images[:, :1] if self.arch.reads == "gray" else images

    def picture(self, values: Tensor, images: Tensor) -> Tensor:
        """(N, C, H, W) predicted values -> (N, 3, H, W) pictures; `images` may lend what is not predicted."""
        return values.clamp(0, 1).expand(-1, 3, -1, -1)

    def encode(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, d)."""
        return self.backbone(images[:, :1] if self.arch.reads == "gray" else images)

    def decode(self, codes: Tensor) -> Tensor:
        """(N, d) -> (N, 3, H, W) pictures in [0, 1].

        Raises:
            UserError: A code alone makes no picture here.
        """
        if not self.decodes:
            raise UserError("This method cannot turn a code alone into a picture: it needs part of an image.")
        values = rebuilt.values_of(self.loss_kind, self.decoder(codes))
        return self.picture(values, values.new_zeros(len(codes), 3, *values.shape[2:]))

    def training_step(self, batch: Batch) -> StepResult:
        """The mean loss over the pixels that count."""
        (images,) = batch.views
        seen, mask = self.damage(images, None)
        return self._result(images, mask, self.decoder(self.encode(seen)))

    def _result(self, images: Tensor, mask: Tensor | None, logits: Tensor) -> StepResult:
        targets = self.targets(images)
        return StepResult(rebuilt.mean_loss(self.loss_kind, logits, targets, mask))

    def _logs(self, logits: Tensor, targets: Tensor, mask: Tensor | None) -> dict[str, Tensor]:
        if self.loss_kind != "bce":
            return {}  # the loss is the squared error
        logs = {"loss_floor": rebuilt.mean_of_images(rebuilt.entropy(targets), mask).mean()}
        squares = rebuilt.pixel_losses("mse", logits, targets)
        return {**logs, "squared_error": rebuilt.mean_of_images(squares, mask).mean()}

    @torch.no_grad()
    def evaluation_step(self, batch: Batch) -> StepResult:
        """The same loss with repeatable damage, and each image's error and code."""
        (images,) = batch.views
        rebuilt.check_targets(images)
        seen, mask = self.damage(images, self.draws(batch.index))
        codes = self.encode(seen)
        logits = self.decoder(codes)
        targets = self.targets(images)
        squares = rebuilt.mean_of_images(rebuilt.pixel_losses(self._squares, logits, targets), mask)
        scores = rebuilt.mean_of_images(rebuilt.pixel_losses(self.loss_kind, logits, targets), mask)
        outputs = {
            "error": squares,
            "loss": scores,
            "code": codes if seen is images else self.encode(images),
        }
        return StepResult(scores.mean(), self._logs(logits, targets, mask), outputs)

    @property
    def _squares(self) -> str:
        return "linear" if self.loss_kind == "linear" else "mse"

    def draws(self, index: Tensor) -> torch.Generator:
        """A generator that is the same whenever the same images are evaluated together."""
        return torch.Generator().manual_seed(int(index[0]) if len(index) else 0)

    @torch.no_grad()
    def look(
        self, images: Tensor, index: Tensor, damaged: tuple[Tensor, Tensor | None] | None = None
    ) -> Look:
        """What goes in, what comes out, and where they differ.

        Args:
            images: (N, 3, H, W) in [0, 1].
            index: (N,) places in the data set, which decide the damage.
            damaged: What goes in and where the loss counts, in place of the method's own damage.
        """
        seen, mask = damaged or self.damage(images, self.draws(index))
        codes = self.encode(seen)
        logits, targets = self.decoder(codes), self.targets(images)
        squares = rebuilt.pixel_losses(self._squares, logits, targets)
        made = self.picture(rebuilt.values_of(self.loss_kind, logits), images)
        if mask is not None:
            made = torch.where(mask.bool(), made, images)
            squares = squares * mask
        score = rebuilt.mean_of_images(rebuilt.pixel_losses(self.loss_kind, logits, targets), mask)
        return Look(self.shown(seen), made, squares.mean(1, keepdim=True), score, codes)

    def shown(self, seen: Tensor) -> Tensor:
        """What went in, as a picture."""
        return seen.clamp(0, 1)

    def frame(self, batch: Batch, views: Callable[[], tuple[Tensor, ...]]) -> dict[str, np.ndarray]:
        """Input, reconstruction and error of pinned images as (N, H, W, ·) bytes, for the live view."""
        look = self.look(batch.views[0], batch.index)
        return {
            "given": as_bytes(look.given),
            "made": as_bytes(look.made),
            "error": look.error.float().cpu().numpy()[:, 0].astype(np.float16),
            "score": look.score.float().cpu().numpy(),
        }

    def layers(self) -> list[dict[str, Any]]:
        """The encoder's layers, and the decoder's where a code is all it needs."""
        parts = {"encoder": self.backbone.trunk, **({"decoder": self.decoder} if self.decodes else {})}
        rows = layer_rows(parts, self.task.image_size)
        return [{**row, "trains": row["parameters"] > 0} for row in rows]

    def parts(self) -> dict[str, torch.nn.Module]:
        """The two halves by name."""
        return {"encoder": self.backbone.trunk, "decoder": self.decoder}

    def baselines(self, images: Images) -> dict[str, Any]:
        """Squared errors on validation images of what knows little: the mean image, and PCA by code size."""
        parts = [images(split, PCA_IMAGES) for split in ("train", "val")]
        if not all(len(part) for part in parts):
            return {}
        train, other = (self.targets(part).cpu().numpy() for part in parts)
        mask = self.damage(parts[1], self.draws(torch.arange(1)))[1]
        squares = torch.from_numpy((train.mean(0) - other) ** 2)
        mean = rebuilt.mean_of_images(squares, None if mask is None else mask.cpu()).mean()
        found: dict[str, Any] = {"mean_image": float(mean), "baseline_images": len(train)}
        if self.like_pca:
            errors = rebuilt.pca_errors(train, other, PCA_SIZES)
            found["pca"] = {str(size): error for size, error in errors.items()}
        return found

    def report(self, outcomes: Mapping[str, Outcome]) -> dict[str, Any]:
        splits = {}
        for name, outcome in outcomes.items():
            error = float(outcome.outputs["error"].mean(dtype=np.float64))
            splits[name] = {"n": len(outcome.index), **outcome.figures, "squared_error": error}
        where = "val" if "val" in outcomes else "train"
        sizes = {name: sum(p.numel() for p in part.parameters()) for name, part in self.parts().items()}
        found: dict[str, Any] = {
            "splits": splits,
            "classes": class_errors(outcomes[where], self.task.classes),
            "errors_on": where,
            "parameters": sizes,
            "loss": self.loss_kind,
            "latent": self.arch.latent,
            "inputs": self.arch.inputs,
            "gray": self.task.gray,
            "decodes": self.decodes,
        }
        return {**found, "warnings": self.warnings(outcomes)}

    def warnings(self, outcomes: Mapping[str, Outcome]) -> list[str]:
        """What a reader should be told of the trained network, one sentence each."""
        codes = outcomes["train"].outputs["code"]
        if len(codes) and float(codes.std(0).max()) < 1e-6:
            return ["Every image has the same code: all images are alike, or nothing was learned."]
        return []


class LinearAutoencoder(Autoencoder):
    """No non-linearity anywhere: the best it can do is the subspace of the first principal components."""

    Config = LinearConfig

    def __init__(self, backbone: Encoder, config: CodeConfig, task: Task) -> None:
        super().__init__(backbone, config, task)
        self.loss_kind = "linear"

    @classmethod
    def own_backbone(cls, config: Any, task: Task) -> str:
        reads = "gray" if task.gray else "colour"
        return f"random:{CodeArch('linear', task.image_size, reads, 4, config.latent_size)}"


def as_bytes(images: Tensor) -> np.ndarray:
    """(N, 3, H, W) in [0, 1] -> (N, H, W, 3) uint8."""
    return (images.float().clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()


def class_errors(outcome: Outcome, classes: tuple[str, ...]) -> list[dict[str, Any]]:
    """Mean squared error of each class's images with its standard error; empty without classes."""
    found = []
    for label, name in enumerate(classes):
        errors = outcome.outputs["error"][outcome.labels == label].astype(np.float64)
        if len(errors):
            spread = float(errors.std(ddof=1) / len(errors) ** 0.5) if len(errors) > 1 else None
            found.append({"name": name, "n": len(errors), "error": float(errors.mean()), "spread": spread})
    return found
