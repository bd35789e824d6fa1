"""How good a representation is while it is being learned: neighbours among images held out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine.data.augment import augment
from engine.evaluation.neighbours import knn_accuracy
from engine.methods.method import Method, Outcome, Probe
from engine.training.loop import Evaluation, evaluate
from engine.training.sources import PixelSource, generator
from engine.training.task import Split

BANK, HELD_OUT, VIEWED = 4000, 2000, 512  # images, at most; more change little and take longer
EVERY_FIFTH = 5


@dataclass(frozen=True)
class ProbeSplits:
    """Which images answer and which ask.

    Attributes:
        bank: Training images.
        held_out: Images to be recognised.
        note: What a reader should know of them; may be empty.
    """

    bank: Split
    held_out: Split
    note: str = ""


def some_of(split: Split, most: int) -> Split:
    """At most so many images of a split, evenly spread over it."""
    n = len(split.index)
    rows = np.unique(np.linspace(0, n - 1, min(most, n)).astype(np.int64))
    return Split(split.index[rows], split.labels[rows])


def probe_splits(splits: Mapping[str, Split], bank: int = BANK, held_out: int = HELD_OUT) -> ProbeSplits:
    """Training images as the bank, validation images to ask; without those every fifth training image."""
    train, other = splits["train"], splits["val"]
    if len(other.index):
        return ProbeSplits(some_of(train, bank), some_of(other, held_out))
    asked = np.arange(len(train.index)) % EVERY_FIFTH == 0
    parts = [Split(train.index[chosen], train.labels[chosen]) for chosen in (~asked, asked)]
    note = "There are no validation images, so what is recognised are training images, by other ones."
    return ProbeSplits(some_of(parts[0], bank), some_of(parts[1], held_out), note)


class Prober:
    """Asks a method before training and after each epoch how good its representation is.

    Args:
        chosen: Which images.
        source: Makes the source of some images.
        seed: Of the random views.
        stop: Asked between batches.
    """

    def __init__(
        self,
        chosen: ProbeSplits,
        source: Callable[[Split], PixelSource],
        seed: int,
        stop: Callable[[], bool],
    ) -> None:
        self.bank, self.held_out = source(chosen.bank), source(chosen.held_out)
        self.seed, self.stop = seed, stop

    def references(self, method: Method) -> dict[str, dict[str, float]] | None:
        """What to compare with: the method as it begins, and raw pixels; None if it was stopped."""
        seen = evaluate(method, self.held_out, self.stop)
        probe = self._probe(method, seen) if seen else None
        if probe is None:
            return None
        found = method.references(probe)
        if "knn_accuracy" in found:
            found["knn_accuracy"] = {"raw pixels": self._pixels(), **found["knn_accuracy"]}
        return found

    def read_out(self, method: Method, seen: Evaluation, history: Sequence[Mapping[str, float]]) -> bool:
        """Add the method's figures and verdict to what validation showed; false if it was stopped.

        Args:
            method: In training.
            seen: What validation showed after this epoch.
            history: The figures of earlier epochs.
        """
        probe = self._probe(method, seen)
        if probe is None:
            return False
        found = method.read_out(probe, history)
        seen.figures |= found.figures
        seen.verdict = found.verdict
        return True

    def _probe(self, method: Method, seen: Evaluation) -> Probe | None:
        bank = evaluate(method, self.bank, self.stop)
        if bank is None:
            return None
        return Probe(outcome(bank), outcome(seen), lambda: self._views(method))

    def _views(self, method: Method) -> tuple[Tensor, ...]:
        return views_of(self.held_out, np.arange(min(VIEWED, self.held_out.n)), method, self.seed)

    def _pixels(self) -> float:
        """Accuracy by the nearest images as they are."""
        bank, asked = (flat_pixels(source) for source in (self.bank, self.held_out))
        known, wanted = self.bank.labels >= 0, self.held_out.labels >= 0
        labels, truth = self.bank.labels[known], self.held_out.labels[wanted]
        classes = int(max(labels.max(), truth.max())) + 1
        return knn_accuracy(bank[known], labels, asked[wanted], truth, classes).accuracy


def outcome(seen: Evaluation) -> Outcome:
    """What the loop saw, as a method reads it."""
    return Outcome(seen.index, seen.labels, seen.outputs, seen.figures)


def flat_pixels(source: PixelSource) -> np.ndarray:
    """(n, 3 · H · W) plain pixels in [0, 1]."""
    return np.concatenate([batch.views[0].flatten(1).cpu().numpy() for batch in source.plain()])


def views_of(source: PixelSource, rows: np.ndarray, method: Method, seed: int) -> tuple[Tensor, ...]:
    """Two random views of some images of a source as the method draws them, the same at every call."""
    stored = torch.from_numpy(np.ascontiguousarray(source.pixels[source.index[rows]])).to(source.device)
    draws = generator(seed, 5)
    return tuple(
        augment(stored, view, source.size, draws).contiguous(memory_format=torch.channels_last)
        for view in (method.views * 2)[:2]
    )
