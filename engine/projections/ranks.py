"""Who is near whom from a few rows of a space, measured in float64 blocks of bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np

from engine.projections.points import KD_TREE_WIDTH, exact_neighbours
from engine.projections.threads import one_thread

CELLS = 2**20  # numbers in an array at a time: 8 MB of float64
ROWS, COLUMNS = 256, 1024  # a block that stays in the processor's cache
NARROW = 64  # numbers in a point up to which a block is too little work for two threads
TIE = 2.0**-46  # of the squares that a difference was taken from: below it lies rounding only


@dataclass(frozen=True)
class Limits:
    """Where the distances of some pairs lie, give or take rounding, in the blocks of a `Space`.

    Attributes:
        low: (m, k) what is below is nearer than the pair.
        high: (m, k) what is above is farther.
    """

    low: np.ndarray
    high: np.ndarray

    def of(self, part: slice) -> Limits:
        """Those of some rows."""
        return Limits(self.low[part], self.high[part])


class Space:
    """Rows of numbers, seen from a few of them.

    A block holds ½|b|² - a·b for rows a and all b: half the squared distance, less a's own half square, which
    changes no order. Squares are taken about the median, so that neither a common offset nor one wild row
    costs digits.

    Args:
        z: (n, d) finite.
        rows: (m,) those that look.
    """

    def __init__(self, z: np.ndarray, rows: np.ndarray) -> None:
        self.z, self.rows = z, rows
        few = z[:: max(1, z.size // CELLS)]
        self.middle = np.median(few, axis=0).astype(np.float64)

    def seeing(self, part: slice) -> np.ndarray:
        """(r, d + 1) rows a, with a 1."""
        a = self.z[self.rows[part]] - self.middle
        return np.concatenate([a, np.ones((len(a), 1))], axis=1)

    def seen(self, columns: slice) -> np.ndarray:
        """(d + 1, c) columns -b, with ½|b|²."""
        b = self.z[columns] - self.middle
        return np.concatenate([-b, np.einsum("nd,nd->n", b, b)[:, None] / 2], axis=1).T

    def limits(self, near: np.ndarray) -> Limits:
        """Limits of the pairs of every looking row with (m, k) others."""
        exact = half_squares(self.z, self.rows, near)
        own = np.empty((len(self.rows), 1))
        for part in slices(len(own), max(1, CELLS // self.z.shape[1])):
            a = self.z[self.rows[part]] - self.middle
            own[part, 0] = np.einsum("nd,nd->n", a, a) / 2
        rounding = TIE * (own + exact)
        return Limits(exact - own - rounding, exact - own + rounding)


def slices(n: int, size: int) -> Iterator[slice]:
    """0 to n in parts of `size`."""
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def half_squares(z: np.ndarray, rows: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Half the squared distance of each row to its own few others, from their differences.

    Args:
        z: (n, d).
        rows: (m,).
        near: (m, k).

    Returns:
        (m, k) float64; exactly equal for exact copies.
    """
    found = np.empty(near.shape)
    for part in slices(len(rows), max(1, CELLS // (near.shape[1] * z.shape[1]))):
        apart = z[near[part]].astype(np.float64)
        apart -= z[rows[part]][:, None]
        found[part] = np.einsum("nkd,nkd->nk", apart, apart) / 2
    return found


def blocks(*spaces: Space) -> Iterator[tuple[slice, slice, list[np.ndarray]]]:
    """What the looking rows see of all rows, in all spaces alike; a row itself is infinitely far.

    Yields:
        The part of the looking rows, the columns, and an (r, c) block of each space.
    """
    n, rows = len(spaces[0].z), spaces[0].rows
    side = max(1, CELLS // max(space.z.shape[1] for space in spaces))
    for columns in slices(n, min(COLUMNS, side)):
        seen = [space.seen(columns) for space in spaces]
        for part in slices(len(rows), min(ROWS, side)):
            far = [space.seeing(part) @ other for space, other in zip(spaces, seen, strict=True)]
            at = rows[part] - columns.start
            here = np.flatnonzero((at >= 0) & (at < columns.stop - columns.start))
            for block in far:
                block[here, at[here]] = np.inf
            yield part, columns, far


def ranks(
    x: np.ndarray, y: np.ndarray, rows: np.ndarray, near_x: np.ndarray, near_y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """How far down the list of one space stand the neighbours of the other.

    The nearest other row has rank 1. Of rows equally far here, those that are farther there count half, as
    if the tie were drawn by lot; those that are no farther there could take each other's place and count
    nothing. So a space agrees with itself, copies and all, and a map of one spot agrees with nothing.

    Args:
        x: (n, d) one space.
        y: (n, e) the other; row i is the same point.
        rows: (m,) which points look.
        near_x: (m, k) their neighbours in x.
        near_y: (m, k) their neighbours in y.

    Returns:
        (m, k) float64 ranks of `near_y` in x, and of `near_x` in y.
    """
    in_x, in_y = Space(x, rows), Space(y, rows)
    x_of_y, y_of_y = in_x.limits(near_y), in_y.limits(near_y)
    x_of_x, y_of_x = in_x.limits(near_x), in_y.limits(near_x)
    found_x, found_y = np.ones(near_y.shape), np.ones(near_x.shape)
    with _threads(x.shape[1]):
        for part, _, far in blocks(in_x, in_y):
            far_x, far_y = far
            found_x[part] += _before(far_x, x_of_y.of(part), far_y, y_of_y.of(part))
            found_y[part] += _before(far_y, y_of_x.of(part), far_x, x_of_x.of(part))
    return found_x, found_y


def _threads(width: int) -> AbstractContextManager[None]:
    return one_thread() if width <= NARROW else nullcontext()


def _before(here: np.ndarray, limit: Limits, there: np.ndarray, limit_there: Limits) -> np.ndarray:
    """(r, k) how many of a block stand before each pair: the nearer ones, and half the doubtful ones."""
    found = np.empty(limit.low.shape)
    for c in range(limit.low.shape[1]):
        nearer, reached = here < limit.low[:, c, None], here <= limit.high[:, c, None]
        found[:, c] = _count(nearer)
        tied = np.flatnonzero(_count(reached) - found[:, c] > 0)
        if len(tied):
            doubtful = reached[tied] & ~nearer[tied] & (there[tied] > limit_there.high[tied, c, None])
            found[tied, c] += _count(doubtful) / 2
    return found


def _count(marked: np.ndarray) -> np.ndarray:
    """Marks in each row; packing them to bits first is four times faster than a sum."""
    return np.bitwise_count(np.packbits(marked, axis=1)).sum(axis=1, dtype=np.int64)


def nearest_rows(x: np.ndarray, rows: np.ndarray, k: int) -> np.ndarray:
    """The k nearest other rows of some rows, in no order.

    Args:
        x: (n, d).
        rows: (m,).
        k: 1 to n - 1.

    Returns:
        (m, k) int64.
    """
    if x.shape[1] <= KD_TREE_WIDTH and len(rows) == len(x):
        return exact_neighbours(x, k).index[rows]
    best, index = np.full((len(rows), k), np.inf), np.zeros((len(rows), k), np.int64)
    with _threads(x.shape[1]):
        for part, columns, (far,) in blocks(Space(x, rows)):
            most = min(k, far.shape[1])
            near = np.argpartition(far, most - 1, axis=1)[:, :most]
            both = np.concatenate([best[part], np.take_along_axis(far, near, 1)], axis=1)
            names = np.concatenate([index[part], near + columns.start], axis=1)
            keep = np.argpartition(both, k - 1, axis=1)[:, :k]
            best[part], index[part] = np.take_along_axis(both, keep, 1), np.take_along_axis(names, keep, 1)
    return index


def drawn_neighbours(positions: np.ndarray, k: int, seed: int) -> np.ndarray:
    """The k nearest other points on a map, whoever lies on the same spot drawn by lot.

    Points often come class by class. Were a tie given to the lower row, a map that puts all points on one
    spot would show neighbours of one class.

    Args:
        positions: (n, 2 or 3).
        k: 1 to n - 1.
        seed: Of the lot.

    Returns:
        (n, k) int64.
    """
    order = np.random.default_rng(seed).permutation(len(positions))
    near = np.empty((len(positions), k), np.int64)
    near[order] = order[exact_neighbours(positions[order], k).index]
    return near
