"""What passes between the loop and a method: a batch in, a loss and figures out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor, nn


@dataclass(frozen=True)
class Batch:
    """Images of one step.

    Attributes:
        views: One tensor a view the method asked for: (N, 3, H, W) in [0, 1], or cached features.
        labels: (N,) class indices, -1 where there is none.
        index: (N,) places of the images in the data set.
        rows: (N,) places of the images in their split; None where there is no split.
    """

    views: tuple[Tensor, ...]
    labels: Tensor
    index: Tensor
    rows: Tensor | None = None


@dataclass(frozen=True)
class StepResult:
    """What a method makes of a batch.

    Attributes:
        loss: The number to lower, a mean over the batch; None in evaluation, where plain images have none.
        logs: Other means over the batch, by name; the loop averages and records them.
        outputs: In evaluation, what to keep of each image: (N, ...) by name.
    """

    loss: Tensor | None
    logs: Mapping[str, Tensor] = field(default_factory=dict)
    outputs: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def given_loss(self) -> Tensor:
        """The loss where there must be one: that of a training step, or of plain images that have one."""
        assert self.loss is not None, "this step gave no loss"
        return self.loss


@dataclass(frozen=True)
class Monitor:
    """Which validation figure decides what epoch is kept; ties go to the lower loss, then to the earlier one.

    Attributes:
        name: A name in the logs, or "loss"; empty where nothing decides and the last epoch is kept.
        higher: Whether more is better.
    """

    name: str
    higher: bool

    def key(self, figures: Mapping[str, float]) -> tuple[float, float] | None:
        """Sorts epochs: greater is better; None keeps the last."""
        if not self.name:
            return None
        value = figures[self.name]
        return (value if self.higher else -value, -figures["loss"])

    @property
    def rule(self) -> str:
        """The rule as a reader should know it."""
        if not self.name:
            return "the last epoch: nothing that was measured chose it"
        word = "highest" if self.higher else "lowest"
        tie = "" if self.name == "loss" else "; a tie goes to the lower loss, then to the earlier epoch"
        return f"{word} validation {self.name}{tie}"


KEEP_LAST = Monitor("", higher=True)


class Trainable(Protocol):
    """What the loop asks of a method; `engine.methods.method.Method` has it all."""

    monitor: Monitor
    constant_rate: tuple[str, ...]
    rate_factors: Mapping[str, float]

    @property
    def module(self) -> nn.Module: ...

    def training_step(self, batch: Batch) -> StepResult: ...

    def evaluation_step(self, batch: Batch) -> StepResult: ...

    def after_step(self) -> None: ...

    def changing_state(self) -> dict[str, Tensor]: ...

    def load_changing_state(self, state: Mapping[str, Tensor]) -> None: ...
