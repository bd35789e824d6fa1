"""Method: what every trainable idea is, seen from the loop and from the wiring around it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from engine.data.augment import VIEWS, View
from engine.methods.config import MethodConfig
from engine.models.network import Encoder
from engine.training.step import Batch, Monitor, StepResult

DEFAULT_BACKBONE = "random:cnn-small"


@dataclass(frozen=True)
class Task:
    """What a method may know of the data.

    Attributes:
        classes: Names of the classes; empty if unlabelled.
        class_counts: Training images of each class.
        n_train: Training images.
        image_size: Their side in pixels.
        gray: All images are grey: their three channels are the same.
    """

    classes: tuple[str, ...]
    class_counts: tuple[int, ...]
    n_train: int
    image_size: int
    gray: bool = False


# (split, most) -> (n, 3, H, W) plain images of a split in [0, 1], at most so many of them, spread over it.
Images = Callable[[str, int], Tensor]


@dataclass(frozen=True)
class Outcome:
    """The kept network's outputs on one split.

    Attributes:
        index: (n,) places in the data set.
        labels: (n,) class indices.
        outputs: What `evaluation_step` gave, (n, ...) by name.
        figures: Means of the loss and the logs.
    """

    index: np.ndarray
    labels: np.ndarray
    outputs: Mapping[str, np.ndarray]
    figures: Mapping[str, float]


@dataclass(frozen=True)
class Probe:
    """Images that the training does not see, and training images to find their neighbours among.

    Attributes:
        bank: Outputs for training images, plain.
        held_out: Outputs for images held out, plain.
        views: Makes the method's random views of some held-out images, the same at every call.
    """

    bank: Outcome
    held_out: Outcome
    views: Callable[[], tuple[Tensor, ...]]


@dataclass(frozen=True)
class ReadOut:
    """What an epoch's representation is worth.

    Attributes:
        figures: By name.
        verdict: "state" and "words", for a reader who does not know the figures; may be empty.
    """

    figures: dict[str, float]
    verdict: dict[str, str]


class Method(nn.Module):
    """A backbone, what is trained with it, and a loss.

    A method file holds its config and a subclass with `training_step`; the rest has defaults that suit a
    method that trains its whole backbone. It knows no device, optimiser, epoch, file or data set name.
    """

    Config: ClassVar[type[MethodConfig]] = MethodConfig
    monitor: Monitor = Monitor("loss", higher=False)
    # Only whole batches: the loss, or what is kept of a batch, depends on how many images are in it.
    whole_batches: bool = False
    # After each epoch, have `read_out` say how good the representation is.
    reads_out: bool = False
    # Beginnings of names of parameters whose learning rate stays what it was at first.
    constant_rate: tuple[str, ...] = ()
    # Beginning of a parameter's name -> how many times faster than the others it learns.
    rate_factors: Mapping[str, float] = MappingProxyType({})
    # With a frozen backbone the loop may be fed cached features in place of images.
    reads_features: bool = False
    # Whether bfloat16 is worth its conversions on a processor; convolutions gain, small dense layers lose.
    suits_low_precision: bool = True

    def __init__(self, backbone: Encoder, config: MethodConfig, task: Task) -> None:
        super().__init__()
        self.backbone = backbone
        self.config = config
        self.task = task

    @classmethod
    def own_backbone(cls, config: Any, task: Task) -> str:
        """Name of the encoder to train where the recipe names none.

        Raises:
            UserError: This task has nothing in it that the method could learn from.
        """
        return DEFAULT_BACKBONE

    @classmethod
    def backbone_name(cls, given: str | None, config: Any, task: Task) -> str:
        """Name of the encoder to build: the recipe's, or the method's own where it names none.

        Raises:
            UserError: The settings do not go with this encoder.
        """
        return given or cls.own_backbone(config, task)

    @property
    def module(self) -> nn.Module:
        return self

    @property
    def views(self) -> tuple[View, ...]:
        """The random views of each image that a training batch holds."""
        return (VIEWS["standard"],)

    @property
    def copies(self) -> int:
        """Augmented copies of each image to compute features of; 0 takes the plain image."""
        return 0

    def sampling_weights(self, labels: np.ndarray) -> np.ndarray | None:
        """How often to draw each training image, relative to the others; None draws each once an epoch."""
        return None

    def training_step(self, batch: Batch) -> StepResult:
        """The loss of one batch."""
        raise NotImplementedError

    @torch.no_grad()
    def evaluation_step(self, batch: Batch) -> StepResult:
        """Loss, figures and outputs on plain images, in evaluation mode."""
        return self.training_step(batch)

    def after_step(self) -> None:
        """Move what moves outside the optimiser: momentum copies, queues."""

    def encoder(self) -> Encoder:
        """What the run leaves behind."""
        return self.backbone

    def changing_state(self) -> dict[str, Tensor]:
        """All parameters and buffers that training changes; a checkpoint holds these."""
        return self.state_dict()

    def load_changing_state(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `changing_state` gave."""
        own = self.state_dict()
        for name, tensor in state.items():
            own[name].copy_(tensor)

    def frame(self, batch: Batch, views: Callable[[], tuple[Tensor, ...]]) -> dict[str, np.ndarray]:
        """What to keep of a few pinned images after each epoch, by name, besides their outputs.

        Args:
            batch: The plain images.
            views: Makes the method's random views of the same images, the same at every call.
        """
        return {}

    def references(self, probe: Probe) -> dict[str, dict[str, float]]:
        """Lines to draw beside a figure: figure -> words -> value. Asked once, before training."""
        return {}

    def read_out(self, probe: Probe, history: Sequence[Mapping[str, float]]) -> ReadOut:
        """How good the representation is, after an epoch whose predecessors' figures are `history`."""
        return ReadOut({}, {})

    def baselines(self, images: Images) -> dict[str, Any]:
        """What plain methods reach on the same images; goes into results.json."""
        return {}

    def layers(self) -> list[dict[str, Any]]:
        """Rows of the table of layers, as `engine.models.heads.layer_rows` makes them; empty leaves it."""
        return []

    def report(self, outcomes: Mapping[str, Outcome]) -> dict[str, Any]:
        """The method's part of results.json, from the kept network's outputs on each split."""
        return {"splits": {split: dict(outcome.figures) for split, outcome in outcomes.items()}}
