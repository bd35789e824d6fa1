"""Classification: a head on a backbone, trained alone, with the last block, or with everything.

What is frozen stays in evaluation mode: no gradient, no drift of BatchNorm's statistics, no dropout.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.data.augment import VIEWS, View
from engine.evaluation.report import classification_results, no_better_than_guessing
from engine.methods.classification_config import ClassificationConfig
from engine.methods.method import Method, Outcome, Task
from engine.models.heads import build_head, describe_network
from engine.models.network import Encoder
from engine.training.step import Batch, Monitor, StepResult


class Classification(Method):
    """Cross-entropy on the classes of labelled images."""

    Config = ClassificationConfig
    monitor = Monitor("accuracy", higher=True)
    config: ClassificationConfig
    class_weights: Tensor | None

    def __init__(self, backbone: Encoder, config: ClassificationConfig, task: Task) -> None:
        super().__init__(backbone, config, task)
        self.head = build_head(backbone.arch, len(task.classes), config.head_dropout)
        self.reads_features = config.mode == "extract"
        self.learning = {"extract": (), "last_block": backbone.blocks[-1:], "everything": backbone.blocks}[
            config.mode
        ]
        for name, parameter in backbone.trunk.named_parameters():
            parameter.requires_grad = self._learns(name)
        weights = class_weights(task.class_counts) if config.class_balance == "weighted_loss" else None
        self.register_buffer("class_weights", weights, persistent=False)

    def _learns(self, name: str) -> bool:
        """Whether the trunk's parameter, buffer or module `name` is part of what learns."""
        return any(block.holds(name) for block in self.learning)

    def train(self, mode: bool = True) -> Classification:
        """Training mode for what learns only; the rest stays in evaluation mode."""
        super().train(mode)
        if mode and self.config.mode != "everything":
            for name, module in self.backbone.named_modules():
                module.training = self._learns(name.removeprefix("trunk."))
        return self

    @property
    def views(self) -> tuple[View, ...]:
        return (VIEWS[self.config.augment],)

    @property
    def copies(self) -> int:
        return self.config.augmented_copies if VIEWS[self.config.augment].is_random else 0

    def sampling_weights(self, labels: np.ndarray) -> np.ndarray | None:
        if self.config.class_balance != "balanced_sampling":
            return None
        counts = np.bincount(labels, minlength=len(self.task.classes))
        return 1.0 / counts[labels]

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) images in [0, 1] -> (N, C) logits."""
        return self.head(self.backbone.head_features(images))

    def training_step(self, batch: Batch) -> StepResult:
        """Cross-entropy, smoothed and weighted as the config says."""
        logits = self._logits(batch)
        loss = F.cross_entropy(
            logits, batch.labels, weight=self.class_weights, label_smoothing=self.config.label_smoothing
        )
        return StepResult(loss, {"accuracy": _accuracy(logits, batch.labels)})

    @torch.no_grad()
    def evaluation_step(self, batch: Batch) -> StepResult:
        """Plain cross-entropy, and each image's probabilities."""
        logits = self._logits(batch).float()
        return StepResult(
            F.cross_entropy(logits, batch.labels),
            {"accuracy": _accuracy(logits, batch.labels)},
            {"probabilities": logits.softmax(1)},
        )

    def _logits(self, batch: Batch) -> Tensor:
        """(N, C) from images, or from the cached features that stand for them."""
        (view,) = batch.views
        return self.head(view) if self.reads_features else self(view)

    def layers(self) -> list[dict[str, Any]]:
        mode, size = self.config.mode, self.task.image_size
        return describe_network(self.backbone.arch, len(self.task.classes), mode, size)["layers"]

    def changing_state(self) -> dict[str, Tensor]:
        prefix = "backbone.trunk."
        return {
            name: tensor
            for name, tensor in self.state_dict().items()
            if not name.startswith(prefix) or self._learns(name.removeprefix(prefix))
        }

    def learns(self) -> dict[str, int]:
        """Parameters that learn in each mode, and all there are."""
        head = sum(p.numel() for p in self.head.parameters())
        named = list(self.backbone.trunk.named_parameters())
        last = sum(p.numel() for name, p in named if self.backbone.blocks[-1].holds(name))
        total = head + sum(p.numel() for _, p in named)
        return {"extract": head, "last_block": head + last, "everything": total, "total": total}

    def report(self, outcomes: Mapping[str, Outcome]) -> dict[str, Any]:
        results = classification_results(
            self.task.classes,
            {name: (o.labels, o.outputs["probabilities"]) for name, o in outcomes.items()},
        )
        hint = no_better_than_guessing(results)
        return {**results, "mode": self.config.mode, "learns": self.learns(), "hints": [hint] if hint else []}


def class_weights(counts: tuple[int, ...]) -> Tensor:
    """Weights that let every class that is there count the same: n / (classes · images of the class)."""
    count = torch.tensor(counts, dtype=torch.float32)
    there = int((count > 0).sum())
    return torch.where(count > 0, count.sum() / (there * count.clamp(min=1)), torch.zeros(()))


def _accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    return (logits.argmax(1) == labels).float().mean()
