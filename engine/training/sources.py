"""Where batches come from: stored pixels, augmented on the device, or cached features.

The order of an epoch and all its random draws follow from (seed, epoch) alone, so a resumed run sees what the
unbroken one would have seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from engine.data.augment import View, augment, center
from engine.training.step import Batch

PLAIN_PIXELS = 64 * 224 * 224  # pixels in a batch without gradients: bounds memory
LARGE_BATCH = 512


class Source(Protocol):
    """What the loop reads."""

    n: int

    @property
    def steps(self) -> int: ...

    def epoch(self, epoch: int) -> Iterator[Batch]: ...

    def plain(self) -> Iterator[Batch]: ...


def mixed_seed(*parts: int) -> int:
    """One seed out of several numbers, so that neighbours share nothing."""
    return int(np.random.SeedSequence([part % 2**32 for part in parts]).generate_state(1)[0])


def generator(*parts: int) -> torch.Generator:
    """A generator on the CPU seeded by several numbers."""
    return torch.Generator().manual_seed(mixed_seed(*parts))


def epoch_order(n: int, seed: int, epoch: int, weights: np.ndarray | None = None) -> np.ndarray:
    """(n,) places in the order of an epoch: each once, or drawn by `weights` with replacement."""
    draws = generator(seed, epoch, 1)
    if weights is None:
        return torch.randperm(n, generator=draws).numpy()
    return torch.multinomial(torch.from_numpy(weights), n, replacement=True, generator=draws).numpy()


def batches(order: np.ndarray, size: int, whole: bool = False) -> list[np.ndarray]:
    """Cut an order into batches; a single image left over joins the batch before, for BatchNorm's sake.

    Args:
        order: (n,) places.
        size: Images a batch.
        whole: Leave out what fills no batch; fewer images than a batch make one all the same.
    """
    if whole and len(order) > size:
        order = order[: len(order) // size * size]
    cuts = list(range(size, len(order), size))
    if cuts and len(order) - cuts[-1] == 1 and size > 1:
        cuts.pop()
    return np.split(order, cuts)


def count_batches(n: int, size: int, whole: bool = False) -> int:
    """How many batches `batches` makes."""
    return len(batches(np.arange(n), size, whole))


class PixelSource:
    """Images of one split, gathered from the stored array.

    Args:
        pixels: (N, S, S, 3) uint8, all images of the data set, perhaps mapped from disk.
        index: (n,) which of them.
        labels: (n,) their class indices.
        size: Side that the network reads.
        views: What a training batch holds.
        batch_size: Images a step.
        seed: Of order and draws.
        device: Where batches are made.
        weights: (n,) how often to draw each image; None draws each once.
        whole_batches: Leave out the images of an epoch that fill no batch.
    """

    def __init__(
        self,
        pixels: np.ndarray,
        index: np.ndarray,
        labels: np.ndarray,
        size: int,
        views: Sequence[View] = (),
        batch_size: int = 64,
        seed: int = 0,
        device: torch.device | str = "cpu",
        weights: np.ndarray | None = None,
        whole_batches: bool = False,
    ) -> None:
        self.whole_batches = whole_batches
        self.pixels, self.index, self.labels = pixels, index, labels
        self.size, self.views, self.batch_size = size, tuple(views), batch_size
        self.seed, self.device, self.weights = seed, torch.device(device), weights
        self.n = len(index)

    @property
    def steps(self) -> int:
        return count_batches(self.n, self.batch_size, self.whole_batches)

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """The augmented batches of a training epoch."""
        order = epoch_order(self.n, self.seed, epoch, self.weights)
        for step, rows in enumerate(batches(order, self.batch_size, self.whole_batches)):
            images = self._gather(rows)
            draws = generator(self.seed, epoch, 2, step)
            yield self._batch(rows, tuple(augment(images, view, self.size, draws) for view in self.views))

    def plain(self) -> Iterator[Batch]:
        """All images in order, as evaluation sees them."""
        size = max(1, min(LARGE_BATCH, PLAIN_PIXELS // self.size**2))
        for start in range(0, self.n, size):
            rows = np.arange(start, min(start + size, self.n))
            yield self._batch(rows, (center(self._gather(rows), self.size),))

    def _gather(self, rows: np.ndarray) -> Tensor:
        """(b, S, S, 3) uint8 on the device."""
        return torch.from_numpy(np.ascontiguousarray(self.pixels[self.index[rows]])).to(self.device)

    def _batch(self, rows: np.ndarray, views: tuple[Tensor, ...]) -> Batch:
        labels = torch.from_numpy(self.labels[rows]).to(self.device)
        views = tuple(view.contiguous(memory_format=torch.channels_last) for view in views)
        return Batch(views, labels, torch.from_numpy(self.index[rows]), torch.from_numpy(rows))


class FeatureSource:
    """Cached features of one split's images in place of the images.

    Args:
        copies: One (N, …) array for each augmented copy; an epoch draws one of them for each image.
        plain: (N, …) features of the plain images.
        index: (n,) which images.
        labels: (n,) their class indices.
        batch_size: Images a step.
        seed: Of order and draws.
        device: Where batches are made.
        weights: (n,) how often to draw each image; None draws each once.
    """

    def __init__(
        self,
        copies: Sequence[np.ndarray],
        plain: np.ndarray,
        index: np.ndarray,
        labels: np.ndarray,
        batch_size: int = 64,
        seed: int = 0,
        device: torch.device | str = "cpu",
        weights: np.ndarray | None = None,
    ) -> None:
        self.copies, self.features, self.index, self.labels = tuple(copies), plain, index, labels
        self.batch_size, self.seed, self.device = batch_size, seed, torch.device(device)
        self.weights = weights
        self.n = len(index)

    @property
    def steps(self) -> int:
        return count_batches(self.n, self.batch_size)

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """The batches of a training epoch."""
        order = epoch_order(self.n, self.seed, epoch, self.weights)
        draws = generator(self.seed, epoch, 2)
        for rows in batches(order, self.batch_size):
            if not self.copies:
                yield self._batch(rows, self.features[self.index[rows]])
                continue
            which = torch.randint(len(self.copies), (len(rows),), generator=draws).numpy()
            index = self.index[rows]
            yield self._batch(rows, np.stack([self.copies[c][i] for c, i in zip(which, index, strict=True)]))

    def plain(self) -> Iterator[Batch]:
        """All images in order."""
        for start in range(0, self.n, LARGE_BATCH):
            rows = np.arange(start, min(start + LARGE_BATCH, self.n))
            yield self._batch(rows, self.features[self.index[rows]])

    def _batch(self, rows: np.ndarray, features: Any) -> Batch:
        view = torch.from_numpy(np.ascontiguousarray(features)).to(self.device)
        labels = torch.from_numpy(self.labels[rows]).to(self.device)
        return Batch((view,), labels, torch.from_numpy(self.index[rows]))
