"""Points of a representation, checked once, and their exact neighbours, which all methods share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from engine.errors import UserError

LEAST = 5  # points below which nothing can be told from a map
LARGEST = 1e15  # squares beyond this overflow float32
KD_TREE_WIDTH = 15  # up to so many numbers a point, a tree beats comparing all with all
CHUNK_CELLS = 2**24  # distances held at a time


@dataclass(frozen=True)
class Neighbours:
    """Nearest other points, nearest first.

    Attributes:
        index: (n, k) int64 rows.
        distance: (n, k) float32 Euclidean distances.
    """

    index: np.ndarray
    distance: np.ndarray


class Points:
    """What is to be mapped: (n, d) float32, finite, read-only, with its neighbour graph.

    Args:
        x: (n, d) or (n, …) numbers, flattened; not changed.
        metric: "cosine" scales every row to length 1, so that Euclidean distance orders as cosine does.

    Raises:
        UserError: Too few points, a value that is no finite number or too large to square, all points alike.
    """

    def __init__(self, x: np.ndarray, metric: str = "euclidean") -> None:
        x = np.asarray(x)
        if x.ndim < 2 or len(x) < LEAST or not x.size:
            count = len(x) if x.ndim else 0
            raise UserError(f"A map needs at least {LEAST} points, here are {count}: choose more images.")
        x = x.reshape(len(x), -1)
        bad = int((~np.isfinite(x)).any(1).sum())
        if bad:
            raise UserError(
                f"{bad:,} of {len(x):,} points hold values that are no finite numbers: these weights are "
                "broken, choose another encoder."
            )
        if np.abs(x).max() > LARGEST:
            raise UserError(f"The features reach {np.abs(x).max():.1e}: too large to compare. Scale them.")
        if metric == "cosine":
            x = x.astype(np.float64)
            lengths = np.linalg.norm(x, axis=1, keepdims=True)
            x = x / np.where(lengths > 0, lengths, 1)
        self.x = np.array(x, np.float32, order="C")
        self.x.flags.writeable = False
        self.metric = metric
        if not float(np.ptp(self.x, axis=0).max()) > 0:
            raise UserError(
                "All points are the same: this encoder has collapsed, and there is nothing to map. Choose "
                "another encoder."
            )
        self._known: Neighbours | None = None

    def __len__(self) -> int:
        return len(self.x)

    @property
    def width(self) -> int:
        """Numbers in a point."""
        return self.x.shape[1]

    @cached_property
    def distinct(self) -> np.ndarray:
        """(m,) rows, ascending, one for each different point."""
        rows = np.ascontiguousarray(self.x).view(np.dtype((np.void, self.x.itemsize * self.width))).ravel()
        return np.sort(np.unique(rows, return_index=True)[1])

    def graph(self, k: int) -> Neighbours:
        """The exact k nearest other points of every point; computed once for the largest k asked for.

        Args:
            k: Clamped to n - 1.
        """
        k = min(k, len(self) - 1)
        if self._known is None or self._known.index.shape[1] < k:
            self._known = exact_neighbours(self.x, k)
        return Neighbours(self._known.index[:, :k], self._known.distance[:, :k])


def exact_neighbours(x: np.ndarray, k: int) -> Neighbours:
    """The k nearest other rows of every row, ties to the lower row.

    Args:
        x: (n, d) float32.
        k: 1 to n - 1.
    """
    if x.shape[1] <= KD_TREE_WIDTH:
        return _by_tree(x, k)
    return _by_all(x, k)


def _by_tree(x: np.ndarray, k: int) -> Neighbours:
    from scipy.spatial import cKDTree

    distance, index = cKDTree(x).query(x, k + 1, workers=-1)
    own = index == np.arange(len(x))[:, None]
    own[~own.any(1), -1] = True  # among many copies of itself a point may not be listed
    keep = ~own
    shape = (len(x), k)
    return Neighbours(index[keep].reshape(shape).astype(np.int64), distance[keep].reshape(shape).astype("f4"))


def _by_all(x: np.ndarray, k: int) -> Neighbours:
    """Compare all with all in float32, then measure the candidates exactly."""
    middle = (x - x.mean(0, dtype=np.float64)).astype(np.float32)
    halves = np.einsum("nd,nd->n", middle, middle) / 2
    n, more = len(x), min(k + 4, len(x) - 1)
    index, distance = np.empty((n, k), np.int64), np.empty((n, k), np.float32)
    size = max(1, min(n, CHUNK_CELLS // n))
    for start in range(0, n, size):
        rows = np.arange(start, min(start + size, n))
        far = halves - middle[rows] @ middle.T  # half the squared distance, less the row's own part
        far[np.arange(len(rows)), rows] = np.inf
        near = np.argpartition(far, more - 1, axis=1)[:, :more]
        near.sort(axis=1)
        apart = middle[near] - middle[rows][:, None]
        exact = np.sqrt(np.einsum("nkd,nkd->nk", apart, apart, dtype=np.float64))
        order = np.argsort(exact, axis=1, kind="stable")[:, :k]
        index[rows] = np.take_along_axis(near, order, 1)
        distance[rows] = np.take_along_axis(exact, order, 1)
    return Neighbours(index, distance)
