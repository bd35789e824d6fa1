"""Points of a representation, checked once, and their exact neighbours, which all methods share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from engine.errors import UserError

LEAST = 5  # points below which nothing can be told from a map
LARGEST = 1e15  # squares beyond this overflow float32
KD_TREE_WIDTH = 15  # up to so many numbers a point, a tree beats comparing all with all
ROUNDING = 8  # of a float's steps that a sum of products may be off, as a bound on what was seen
FEW_CELLS = 2**18  # differences held at a time: they stay in the processor's cache
CHUNK_CELLS = 2**24  # distances held at a time
KEY_CELLS = 2**18  # numbers of points that are compared at a time


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
        self.x = np.array(x, np.float32, order="C") + np.float32(0)  # -0 becomes 0: copies are told by bytes
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
        return self._first_and_like[0]

    @cached_property
    def _first_and_like(self) -> tuple[np.ndarray, np.ndarray]:
        """The first row of each different point, ascending, and (n,) which of them each point is."""
        _, first, like = np.unique(row_keys(self.x), return_index=True, return_inverse=True)
        if not self._alike(first[like]):  # a key that two different rows share
            rows = self.x.view(np.dtype((np.void, self.x.itemsize * self.width))).ravel()
            _, first, like = np.unique(rows, return_index=True, return_inverse=True)
        order = np.argsort(first)
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        return first[order], place[like]

    def _alike(self, others: np.ndarray) -> bool:
        """Whether every point is a copy of the one in the row that stands for it."""
        rows = np.flatnonzero(others != np.arange(len(self)))
        few = max(1, KEY_CELLS // self.width)
        parts = (rows[start : start + few] for start in range(0, len(rows), few))
        return all(np.array_equal(self.x[part], self.x[others[part]]) for part in parts)

    def without_copies(self) -> tuple[Points, np.ndarray]:
        """The different points, and (n,) where among them each point is found: `rows[back]` repeats copies.

        Raises:
            UserError: Too few points are different.
        """
        return self._different, self._first_and_like[1]

    @cached_property
    def _different(self) -> Points:
        first = self.distinct
        if len(first) == len(self):
            return self
        if len(first) < LEAST:
            raise UserError(
                f"Only {len(first)} of {len(self):,} points are different, and a map needs {LEAST}: choose "
                "other images or another encoder."
            )
        different = Points(self.x[first])
        different.metric = self.metric  # scaled already
        return different

    @property
    def known_neighbours(self) -> int:
        """Neighbours of each point that have been found so far."""
        return 0 if self._known is None else self._known.index.shape[1]

    def graph(self, k: int) -> Neighbours:
        """The exact k nearest other points of every point; computed once for the largest k asked for.

        Args:
            k: Clamped to n - 1.
        """
        k = min(k, len(self) - 1)
        if self._known is None or self._known.index.shape[1] < k:
            self._known = exact_neighbours(self.x, k)
        return Neighbours(self._known.index[:, :k], self._known.distance[:, :k])


def row_keys(x: np.ndarray) -> np.ndarray:
    """(n,) numbers that are equal for rows of equal bytes, and as good as never for others.

    A sum of a row's numbers, read as integers, times fixed random weights, in the ring of 64 bits; sorting
    these takes a tenth of the time that sorting long rows does.

    Args:
        x: (n, d) float32.
    """
    weights = np.random.default_rng(0).integers(0, 2**64, x.shape[1], dtype=np.uint64)
    found, few = np.empty(len(x), np.uint64), max(1, KEY_CELLS // x.shape[1])
    for start in range(0, len(x), few):
        part = slice(start, start + few)
        found[part] = x[part].view(np.uint32).astype(np.uint64) @ weights
    return found


def neighbours_within(wanted: int, n: int) -> tuple[int, tuple[str, ...]]:
    """As many neighbours as n points have, and a note where that is fewer than wanted."""
    if wanted < n:
        return wanted, ()
    return n - 1, (f"{n} different points have {n - 1} neighbours each, not {wanted}.",)


def exact_neighbours(x: np.ndarray, k: int) -> Neighbours:
    """The k nearest other rows of every row, nearest first.

    Args:
        x: (n, d) float32.
        k: 1 to n - 1.
    """
    if x.shape[1] <= KD_TREE_WIDTH:
        return _others_by_tree(x, k)
    return _by_all(x, x, k, others=True)


def nearest_of(bank: np.ndarray, x: np.ndarray, k: int) -> Neighbours:
    """The k rows of a bank nearest to every row of x, nearest first.

    Args:
        bank: (n, d) float32.
        x: (m, d) float32.
        k: 1 to n.

    Returns:
        (m, k) rows of the bank and distances.
    """
    if x.shape[1] > KD_TREE_WIDTH:
        return _by_all(x, bank, k, others=False)
    from scipy.spatial import cKDTree

    distance, index = cKDTree(bank).query(x, np.arange(1, k + 1), workers=-1)
    return Neighbours(index.astype(np.int64), distance.astype(np.float32))


def _others_by_tree(x: np.ndarray, k: int) -> Neighbours:
    found = nearest_of(x, x, k + 1)
    own = found.index == np.arange(len(x))[:, None]
    own[~own.any(1), -1] = True  # among many copies of itself a point may not be listed
    shape = (len(x), k)
    return Neighbours(found.index[~own].reshape(shape), found.distance[~own].reshape(shape))


def _by_all(x: np.ndarray, bank: np.ndarray, k: int, others: bool) -> Neighbours:
    """Compare all with all in float32, then measure the candidates exactly; ties go to the lower row.

    Rows whose neighbours the rounding of float32 could hide, as in tight groups far apart, are compared again
    in float64.
    """
    mean = bank.mean(0, dtype=np.float64)
    centred, precise = _centred(x, bank, mean, np.float32), None
    m, n = len(x), len(bank)
    index, distance = np.empty((m, k), np.int64), np.empty((m, k), np.float32)
    size = max(1, min(m, CHUNK_CELLS // n))
    for start in range(0, m, size):
        rows = np.arange(start, min(start + size, m))
        index[rows], distance[rows], sure = _nearest_rows(x, bank, centred, rows, k, others)
        if not sure.all():
            doubtful = rows[~sure]
            precise = precise or _centred(x, bank, mean, np.float64)
            index[doubtful], distance[doubtful], _ = _nearest_rows(x, bank, precise, doubtful, k, others)
    return Neighbours(index, distance)


def _centred(x: np.ndarray, bank: np.ndarray, mean: np.ndarray, kind: type) -> tuple[np.ndarray, np.ndarray]:
    """Both less the mean; one array where both are the same."""
    moved = (bank - mean).astype(kind, copy=False)
    return (moved if x is bank else (x - mean).astype(kind, copy=False)), moved


def _nearest_rows(
    x: np.ndarray,
    bank: np.ndarray,
    centred: tuple[np.ndarray, ...],
    rows: np.ndarray,
    k: int,
    others: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(r, k) rows of the bank, their exact distances, and (r,) whether no nearer one can have been missed.

    `centred` is x and the bank about one middle, in the precision in which candidates are looked for.
    """
    asked, all_of = centred[0][rows], centred[1]
    halves = np.einsum("nd,nd->n", all_of, all_of) / 2
    own = np.einsum("nd,nd->n", asked, asked) / 2
    most = len(bank) - int(others)
    more = min(k + 4, most)
    far = halves - asked @ all_of.T  # half the squared distance, less the row's own part
    if others:
        far[np.arange(len(rows)), rows] = np.inf
    near = np.argpartition(far, more - 1, axis=1)[:, :more]
    last = np.take_along_axis(far, near, 1).max(1)
    near.sort(axis=1)
    squares = _squares(x[rows], bank, near)
    order = np.argsort(squares, axis=1, kind="stable")[:, :k]
    squares = np.take_along_axis(squares, order, 1)
    rounding = ROUNDING * np.finfo(far.dtype).eps * (halves.max() + own)
    sure = (last + own - rounding >= squares[:, -1] / 2) | (more == most)
    return np.take_along_axis(near, order, 1), np.sqrt(squares), sure


def _squares(x: np.ndarray, bank: np.ndarray, near: np.ndarray) -> np.ndarray:
    """(r, k) squared distances of (r, d) points to rows of the bank, with every digit, a few at a time."""
    found = np.empty(near.shape)
    few = max(1, FEW_CELLS // (near.shape[1] * x.shape[1]))
    for start in range(0, len(x), few):
        part = slice(start, start + few)
        apart = bank[near[part]] - x[part][:, None].astype(np.float64)
        found[part] = np.einsum("nkd,nkd->nk", apart, apart)
    return found
