"""The one training loop: optimiser, schedule, precision, checkpoints, what is kept, stopping, resuming.

It knows no method by name: it asks whatever it is given for a loss, and no run folder: it tells a watcher.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from engine.errors import UserError
from engine.training.checkpoint import load_checkpoint, save_checkpoint, save_tensors
from engine.training.optim import Plan, build_optimizer
from engine.training.sources import Source, mixed_seed
from engine.training.step import Batch, StepResult, Trainable

ROW_SECONDS = 0.25  # at most four step rows a second
# (epoch, what validation showed, the figures of earlier epochs) -> whether it came to its end.
ReadOut = Callable[[int, "Evaluation", Sequence[Mapping[str, float]]], bool]


class Watcher(Protocol):
    """Who is told how it goes; a run's writer is one."""

    @property
    def checkpoint_path(self) -> Path: ...

    @property
    def best_path(self) -> Path: ...

    def metric(self, row: Mapping[str, Any]) -> None: ...

    def progress(self, **fields: Any) -> None: ...

    def stop_requested(self) -> bool: ...


@dataclass
class Evaluation:
    """What a split looked like to the network.

    Attributes:
        figures: Means of the loss and the logs.
        index: (n,) places in the data set.
        labels: (n,) class indices.
        outputs: (n, …) by name.
        verdict: What the figures mean, in words; joins the epoch's row.
    """

    figures: dict[str, float]
    index: np.ndarray
    labels: np.ndarray
    outputs: dict[str, np.ndarray]
    verdict: dict[str, str] = field(default_factory=dict)


@dataclass
class FitResult:
    """How training ended.

    Attributes:
        stopped: It was asked to stop before the last epoch was through.
        epoch: Epochs finished.
        kept_epoch: The epoch whose weights are kept; 0 before the first.
        kept: Its validation figures.
        epoch_seconds: Time of each epoch of this attempt.
    """

    stopped: bool = False
    epoch: int = 0
    kept_epoch: int = 0
    kept: dict[str, float] = field(default_factory=dict)
    epoch_seconds: list[float] = field(default_factory=list)


class Means:
    """Running means over batches of different size, kept on the device until they are asked for."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.n = 0

    def add(self, result: StepResult, n: int) -> None:
        for name, value in {"loss": result.loss, **result.logs}.items():
            if value is None:
                continue
            value = value.detach().double() * n
            self.sums[name] = self.sums[name] + value if name in self.sums else value
        self.n += n

    def figures(self) -> dict[str, float]:
        return {name: float(value) / max(1, self.n) for name, value in self.sums.items()}


def fit(
    method: Trainable,
    train: Source,
    validation: Source | None,
    plan: Plan,
    watcher: Watcher,
    *,
    seed: int = 0,
    low_precision: bool = False,
    read_out: ReadOut | None = None,
    on_epoch: Callable[[int, Evaluation | None], None] | None = None,
) -> FitResult:
    """Train until the last epoch is through or the watcher wants to stop; goes on from a checkpoint.

    Args:
        method: What is trained, on its device.
        train: Training batches.
        validation: Decides what epoch is kept; without it the last one is.
        plan: Epochs, optimiser, schedule.
        watcher: Is told every step and epoch, and asked whether to stop.
        seed: Of everything random inside the network (dropout).
        low_precision: Compute in bfloat16 where autocast sees fit.
        read_out: Called with what validation showed, before it is recorded; may add figures and a verdict.
            False says that it was stopped, and the epoch is not recorded.
        on_epoch: Called after each epoch with what validation showed.

    Raises:
        UserError: The loss stopped being a number, or the checkpoint is damaged.
    """
    run = _Fit(method, train, validation, plan, watcher, seed, low_precision, read_out)
    run.resume()
    for epoch in range(run.result.epoch + 1, plan.epochs + 1):
        started = time.monotonic()
        figures = run.train_epoch(epoch)
        if figures is None:
            run.result.stopped = True
            break
        training_seconds = time.monotonic() - started
        seen = run.validate(epoch)
        if seen is None and run.validates:
            run.result.stopped = True
            break
        run.finish_epoch(epoch, figures, seen, started, training_seconds)
        if on_epoch:
            on_epoch(epoch, seen)
        if watcher.stop_requested() and epoch < plan.epochs:
            run.result.stopped = True
            break
    return run.result


class _Fit:
    """State of one `fit`."""

    def __init__(
        self,
        method: Trainable,
        train: Source,
        validation: Source | None,
        plan: Plan,
        watcher: Watcher,
        seed: int,
        low_precision: bool,
        read_out: ReadOut | None = None,
    ) -> None:
        self.read_out = read_out
        self.method, self.train, self.validation = method, train, validation
        self.plan, self.watcher, self.seed = plan, watcher, seed
        self.device = next(method.module.parameters()).device
        self.low_precision = low_precision
        self.optimizer = build_optimizer(method.module, plan, method.constant_rate, method.rate_factors)
        self.result = FitResult()
        self.best_key: tuple[float, ...] | None = None
        self.history: list[dict[str, float]] = []  # what validation showed after each epoch
        self.last_row = 0.0
        self.seen_images = 0

    def resume(self) -> None:
        """Take up the checkpoint, if there is one."""
        state = load_checkpoint(self.watcher.checkpoint_path)
        if state is None:
            return
        self.method.load_changing_state(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.result.epoch = int(state["epoch"])
        self.history = list(state.get("history", []))
        best = state["best"]
        self.result.kept_epoch, self.result.kept = int(best["epoch"]), dict(best["figures"])
        self.best_key = tuple(best["key"]) if best["key"] is not None else None

    def precision(self) -> AbstractContextManager[Any]:
        if self.low_precision:
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return nullcontext()

    def train_epoch(self, epoch: int) -> dict[str, float] | None:
        """One pass over the training images; None if it was stopped on the way."""
        torch.manual_seed(mixed_seed(self.seed, epoch, 3))  # dropout
        self.method.module.train()
        means, steps, started = Means(), self.train.steps, time.monotonic()
        for step, batch in enumerate(self.train.epoch(epoch)):
            if self.watcher.stop_requested():
                return None
            rate = self.plan.rate((epoch - 1) * steps + step, steps)
            result = self._step(batch, rate, epoch, step)
            means.add(result, len(batch.index))
            self._tell(epoch, step, steps, float(result.given_loss.detach()), rate, means.n, started)
        self.seen_images = means.n
        return means.figures()

    def _step(self, batch: Batch, rate: float, epoch: int, step: int) -> StepResult:
        for group in self.optimizer.param_groups:
            base = rate if group.get("scheduled", True) else self.plan.learning_rate
            group["lr"] = base * group.get("factor", 1.0)
        self.optimizer.zero_grad(set_to_none=True)
        try:
            with self.precision():
                result = self.method.training_step(batch)
        except ValueError as error:
            if "more than 1 value per channel" in str(error):
                raise UserError(
                    "This backbone cannot learn from one image at a time: set batch_size to 2 or more."
                ) from None
            raise
        loss = result.given_loss
        if not math.isfinite(float(loss.detach())):
            raise UserError(
                f"The loss is not a number any more at epoch {epoch}, step {step + 1}: lower the learning "
                f"rate (it was {rate:g}) or use a warm-up. What was kept before is still there."
            )
        loss.backward()
        self.optimizer.step()
        self.method.after_step()
        return result

    def _tell(
        self, epoch: int, step: int, steps: int, loss: float, rate: float, seen: int, started: float
    ) -> None:
        now = time.monotonic()
        speed = seen / max(1e-9, now - started)
        done = (step + 1) / steps
        typical = float(np.median(self.result.epoch_seconds)) if self.result.epoch_seconds else None
        whole = typical if typical is not None else (now - started) / done
        left = whole * (self.plan.epochs - epoch + 1 - done)
        self.watcher.progress(
            phase="training",
            epoch=epoch,
            epochs=self.plan.epochs,
            step=step + 1,
            steps=steps,
            images_per_second=speed,
            seconds_left=left,
        )
        if now - self.last_row >= ROW_SECONDS or step + 1 == steps:
            self.last_row = now
            row = {"kind": "step", "epoch": epoch, "step": step + 1, "steps": steps, "loss": loss, "lr": rate}
            self.watcher.metric(row)

    @property
    def validates(self) -> bool:
        return self.validation is not None and self.validation.n > 0

    def validate(self, epoch: int) -> Evaluation | None:
        """What validation shows; None where there is none, or if it was stopped on the way."""
        if self.validation is None or not self.validates:
            return None
        self.watcher.progress(phase="evaluating", epoch=epoch)
        seen = evaluate(self.method, self.validation, self.watcher.stop_requested)
        what = None
        if seen and not math.isfinite(seen.figures.get("loss", 0.0)):
            what = "The validation loss is"
        elif seen and self.read_out and not all(np.isfinite(array).all() for array in seen.outputs.values()):
            what = "What the network makes of images is"
        if what:
            raise UserError(
                f"{what} not a number any more after epoch {epoch}: lower the learning rate "
                f"(it is {self.plan.learning_rate:g}). What was kept before is still there."
            )
        if seen and self.read_out and not self.read_out(epoch, seen, self.history):
            return None
        return seen

    def finish_epoch(
        self,
        epoch: int,
        figures: Mapping[str, float],
        seen: Evaluation | None,
        started: float,
        training_seconds: float,
    ) -> None:
        """Record the epoch, keep it if it is the best so far, write the checkpoint."""
        key = self.method.monitor.key(seen.figures) if seen else None
        keep = key is None or self.best_key is None or key > self.best_key
        if keep:
            self.best_key = key
            self.result.kept_epoch, self.result.kept = epoch, dict(seen.figures) if seen else {}
            save_tensors(self.watcher.best_path, self.method.changing_state())
        self.result.epoch = epoch
        seconds = time.monotonic() - started
        self.result.epoch_seconds.append(seconds)
        row: dict[str, Any] = {"kind": "epoch", "epoch": epoch}
        row |= {f"train_{name}": value for name, value in figures.items()}
        row |= {f"val_{name}": value for name, value in (seen.figures if seen else {}).items()}
        row |= {"lr": self.plan.rate(epoch * self.train.steps - 1, self.train.steps), "seconds": seconds}
        row |= {"images_per_second": self.seen_images / max(1e-9, training_seconds), "kept": keep}
        if seen and seen.verdict:
            row["verdict"] = seen.verdict
        self.watcher.metric(row)
        if seen:
            self.history.append(dict(seen.figures))
        best = {"epoch": self.result.kept_epoch, "figures": self.result.kept, "key": self.best_key}
        state = {
            "epoch": epoch,
            "model": self.method.changing_state(),
            "optimizer": self.optimizer.state_dict(),
            "best": best,
            "history": self.history,
        }
        save_checkpoint(self.watcher.checkpoint_path, state)


def evaluate(method: Trainable, source: Source, stop: Callable[[], bool] | None = None) -> Evaluation | None:
    """Figures and outputs of a split on plain images, in full precision and evaluation mode.

    Returns:
        None if `stop` said so on the way.
    """
    method.module.eval()
    means, index, labels = Means(), [], []
    outputs: dict[str, list[np.ndarray]] = {}
    with torch.no_grad():
        for batch in source.plain():
            if stop and stop():
                return None
            result = method.evaluation_step(batch)
            means.add(result, len(batch.index))
            index.append(batch.index.cpu().numpy())
            labels.append(batch.labels.cpu().numpy())
            for name, value in result.outputs.items():
                outputs.setdefault(name, []).append(value.float().cpu().numpy())
    joined = {name: np.concatenate(parts) for name, parts in outputs.items()}
    return Evaluation(means.figures(), np.concatenate(index), np.concatenate(labels), joined)
