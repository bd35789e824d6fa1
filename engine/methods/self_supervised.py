"""What all self-supervised methods share: random views, an encoder with a head, and how they are judged.

The encoder's features h are what is kept; the loss sees the embedding z = head(h) (Chen et al. 2020, section
4.2, https://arxiv.org/abs/2002.05709).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.data.augment import View
from engine.errors import UserError
from engine.evaluation import health
from engine.evaluation.neighbours import knn_accuracy
from engine.methods.method import Method, Outcome, Probe, ReadOut, Task
from engine.methods.self_supervised_config import ViewsConfig
from engine.models.backbones import WITH_VARIANTS
from engine.models.encoder import parse_encoder
from engine.models.heads import layer_rows
from engine.models.network import Encoder
from engine.models.projection_heads import dense_head
from engine.training.step import KEEP_LAST, Batch, StepResult

NORM_ENDINGS = {"group": "-groupnorm", "none": "-nonorm"}
PAIRS, LARGEST = 8, 64  # pinned images whose views are shown at each epoch, and their side
TOO_FEW = "Only one image is held out, which says nothing of how embeddings spread: hold out more."


def view_of(config: ViewsConfig, second: bool = False) -> View:
    """One of the two random views that the settings describe; they differ for BYOL alone."""
    blur, solarise = config.blur, config.solarise
    if second:
        blur = getattr(config, "second_blur", blur)
        solarise = getattr(config, "second_solarise", solarise)
    return View(
        scale=(config.crop_min, 1.0) if config.crop_min < 1 else None,
        flip=config.flip,
        rotate=config.rotation,
        brightness=config.brightness,
        contrast=config.brightness,
        saturation=config.saturation,
        hue=config.hue,
        jitter=config.jitter,
        gray=config.grayscale,
        blur=blur,
        solarise=solarise,
    )


class SelfSupervised(Method):
    """An encoder with a projection head, trained on random views of images without their labels."""

    Config: ClassVar[type[ViewsConfig]] = ViewsConfig
    monitor = KEEP_LAST
    whole_batches = True
    reads_out = True
    one_view: ClassVar[bool] = False  # each image is shown once a step
    config: Any
    step: Tensor

    def __init__(self, backbone: Encoder, config: ViewsConfig, task: Task) -> None:
        super().__init__(backbone, config, task)
        self.projection_head = self.build_head()
        self.register_buffer("step", torch.zeros((), dtype=torch.long))  # taken so far
        self._last: tuple[Tensor, ...] = ()  # a few views of the batch that was learned from last

    @classmethod
    def backbone_name(cls, given: str | None, config: Any, task: Task) -> str:
        name = given or cls.own_backbone(config, task)
        if config.norm == "batch":
            return name
        parsed = parse_encoder(name)
        if parsed.kind != "random" or parsed.value not in WITH_VARIANTS:
            raise UserError(
                f"norm={config.norm} is offered for {' and '.join(WITH_VARIANTS)} with random weights only, "
                f"got {name[:60]}: choose one of these, or leave BatchNorm in."
            )
        return name + NORM_ENDINGS[config.norm]

    def build_head(self) -> nn.Module:
        """Features to embedding, one hidden layer."""
        config = self.config
        return dense_head((self.backbone.width, config.hidden_size, config.output_size), config.norm)

    @property
    def views(self) -> tuple[View, ...]:
        first = view_of(self.config)
        return (first,) if self.one_view else (first, view_of(self.config, second=True))

    @property
    def batch_size(self) -> int:
        """Images of a step: fewer than asked for where there are fewer."""
        return min(self.config.batch_size, self.task.n_train)

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return self.config.epochs * max(1, self.task.n_train // self.batch_size)

    def project(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, D) embeddings in 32 bits; the losses need their precision."""
        return self.projection_head(self.backbone(images)).float()

    def training_step(self, batch: Batch) -> StepResult:
        """The loss of `compare`; a few of its views are kept to be looked at."""
        self._last = tuple(view[:PAIRS].detach() for view in batch.views)
        return self.compare(batch)

    def compare(self, batch: Batch) -> StepResult:
        """What the views of one batch cost; every method has its own.

        Args:
            batch: With one or two views of (N, 3, H, W).
        """
        raise NotImplementedError

    def after_step(self) -> None:
        self.step += 1

    @torch.no_grad()
    def evaluation_step(self, batch: Batch) -> StepResult:
        """Features and embeddings of plain images; without random views there is no loss."""
        features = self.backbone(batch.views[0])
        return StepResult(None, {}, {"feature": features, "embedding": self.projection_head(features)})

    def chance(self) -> dict[str, float]:
        """Values of the loss that mean something, by words: of one who knows nothing, and the least."""
        return {}

    def references(self, probe: Probe) -> dict[str, dict[str, float]]:
        lines: dict[str, dict[str, float]] = {"z_std": {"evenly spread": 1.0, "collapsed": 0.0}}
        if chance := self.chance():
            lines["loss"] = chance
        found = _neighbours(probe, "feature")
        if found is not None:
            lines["knn_accuracy"] = {"before training": found}
        return lines

    def read_out(self, probe: Probe, history: Sequence[Mapping[str, float]]) -> ReadOut:
        """KNN accuracy of h where there are labels, and the health of z."""
        figures: dict[str, float] = {}
        found = _neighbours(probe, "feature")
        if found is not None:
            figures["knn_accuracy"] = found
        z = probe.held_out.outputs["embedding"]
        if len(z) < 2:
            return ReadOut(figures, {"state": "starting", "words": TOO_FEW})
        figures |= {"z_std": health.z_std(z), "effective_rank": health.effective_rank(z)}
        with torch.no_grad():
            first, second = (self.project(view).cpu().numpy() for view in probe.views())
        figures["alignment"] = health.alignment(first, second)
        figures["uniformity"] = health.uniformity(z)
        verdict = health.verdict(figures, history, min(z.shape[1], len(z) - 1))
        return ReadOut(figures, {"state": verdict.state, "words": verdict.words})

    @torch.no_grad()
    def frame(self, batch: Batch, views: Callable[[], tuple[Tensor, ...]]) -> dict[str, np.ndarray]:
        """Views of a few pinned images with their similarity, and the same of the last batch."""
        pictures, similarity = self._compared([view[:PAIRS] for view in views()])
        found = {"view": pictures, "similarity": similarity}
        if self._last:
            found["batch_view"], found["batch_similarity"] = self._compared(self._last)
        return found

    def _compared(self, shown: Sequence[Tensor]) -> tuple[np.ndarray, np.ndarray]:
        """(p, V, H, W, 3) pictures of V views, and the (V · p, V · p) cosines of their embeddings."""
        z = torch.cat([F.normalize(self.project(view), dim=1) for view in shown])
        if shown[0].shape[-1] > LARGEST:
            shown = [F.interpolate(view, (LARGEST, LARGEST), mode="area") for view in shown]
        pictures = torch.stack(list(shown), dim=1).float().clamp(0, 1)  # (p, V, 3, H, W)
        views = (pictures * 255).round().to(torch.uint8).permute(0, 1, 3, 4, 2).cpu().numpy()
        return views, (z @ z.T).cpu().numpy().astype(np.float16)

    def layers(self) -> list[dict[str, Any]]:
        """Encoder and head; the head is thrown away at the end."""
        rows = layer_rows({"encoder": self.backbone.trunk}, self.task.image_size)
        heads = sum(p.numel() for p in self.projection_head.parameters())
        shape = f"({self.config.output_size},)"
        rows.append({"name": "projection head", "type": "dense layers", "shape": shape, "parameters": heads})
        return [{**row, "trains": row["parameters"] > 0} for row in rows]

    def report(self, outcomes: Mapping[str, Outcome]) -> dict[str, Any]:
        sizes = {"encoder": self.backbone.trunk, "projection_head": self.projection_head}
        return {
            "splits": {name: {"n": len(outcome.index)} for name, outcome in outcomes.items()},
            "parameters": {
                name: sum(p.numel() for p in module.parameters()) for name, module in sizes.items()
            },
            "width": self.backbone.width,
            "embedding": int(next(iter(outcomes.values())).outputs["embedding"].shape[1]),
        }


def _neighbours(probe: Probe, name: str) -> float | None:
    """Weighted kNN accuracy of held-out images by their neighbours in the bank; None without labels."""
    bank, asked = probe.bank.labels >= 0, probe.held_out.labels >= 0
    if not bank.any() or not asked.any():
        return None
    labels = probe.bank.labels[bank]
    found = knn_accuracy(
        probe.bank.outputs[name][bank],
        labels,
        probe.held_out.outputs[name][asked],
        probe.held_out.labels[asked],
        int(max(labels.max(), probe.held_out.labels.max())) + 1,
    )
    return found.accuracy
