"""The axes along which points vary most, by NumPy alone: the first panel waits for no larger library.

K. Pearson 1901, On lines and planes of closest fit to systems of points in space, Philosophical Magazine 2;
of long points by C. Musco & C. Musco 2015, Randomized Block Krylov Methods for Stronger and Faster
Approximate Singular Value Decomposition, arXiv:1504.05477.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from engine.projections.points import Points
from engine.projections.ranks import slices
from engine.projections.spectral import DENSE, signs

CHUNK_CELLS = 2**20  # numbers held in double precision at a time
BLOCK = 10  # directions sought at once, a few more than are wanted
MOST_BLOCKS = 25
ROUNDING = 1e-13  # of the largest variance: less is none
EXACT = 1e-9  # of the largest variance: what an axis may be off before the search goes on


@dataclass(frozen=True)
class Principal:
    """Principal axes of points.

    Attributes:
        middle: (d,) mean of the points.
        axes: (d, count) unit vectors, the largest entry of each positive; zeros where there are no more.
        variances: (count,) along them, largest first.
        total: Variance in all directions.
    """

    middle: np.ndarray
    axes: np.ndarray
    variances: np.ndarray
    total: float

    def positions(self, x: np.ndarray) -> np.ndarray:
        """(m, count) float64 coordinates of (m, d) points."""
        found = np.empty((len(x), self.axes.shape[1]))
        for part in _parts(x):
            found[part] = (x[part] - self.middle) @ self.axes
        return found


def principal_axes(
    x: np.ndarray, count: int, seed: int = 0, look: Callable[[], None] = lambda: None
) -> Principal:
    """The leading eigenvectors of the covariance.

    Args:
        x: (n, d) points, 2 at least; never copied whole.
        count: How many; above d, the others are zeros.
        seed: Of the directions from which the search starts where d is above 500.
        look: Called now and then while it searches; it may raise to end it.
    """
    middle = x.mean(0, dtype=np.float64)
    d, few = x.shape[1], min(count, x.shape[1])
    if d <= DENSE:
        covariance = sum((part.T @ part for part in _centred(x, middle)), start=np.zeros((d, d)))
        values, vectors = np.linalg.eigh(covariance)
        values, vectors, total = values[::-1], vectors[:, ::-1], float(values.sum())
    else:
        values, vectors = _krylov(x, middle, few, seed, look)
        total = sum(float(np.einsum("nd,nd->", part, part)) for part in _centred(x, middle))
    axes, variances = np.zeros((d, count)), np.zeros(count)
    axes[:, :few] = vectors[:, :few] * signs(vectors[:, :few])
    variances[:few] = np.where(values[:few] > ROUNDING * values[0], values[:few], 0) / (len(x) - 1)
    return Principal(middle, axes, variances, total / (len(x) - 1))


def principal_start(points: Points, dimensions: int, seed: int) -> np.ndarray:
    """(n, dimensions) float64 coordinates along the principal axes, where points begin that move by steps."""
    return principal_axes(points.x, dimensions, seed).positions(points.x)


def _krylov(
    x: np.ndarray, middle: np.ndarray, few: int, seed: int, look: Callable[[], None]
) -> tuple[np.ndarray, np.ndarray]:
    """Leading eigenpairs of C = Σ (x - middle)(x - middle)ᵀ within the span of C Ω, C² Ω, …

    It ends once C moves each of them off its axis by no more than `EXACT`, or after `MOST_BLOCKS`: of noise,
    whose variances differ by next to nothing, no one axis is any better than another.
    """
    block = np.linalg.qr(np.random.default_rng(seed).standard_normal((x.shape[1], few + BLOCK)))[0]
    basis, images = np.empty((x.shape[1], 0)), np.empty((x.shape[1], 0))
    while True:
        look()
        image = _products(x, middle, block)
        basis, images = np.hstack([basis, block]), np.hstack([images, image])
        within = basis.T @ images
        values, turn = np.linalg.eigh((within + within.T) / 2)
        values, turn = values[::-1][:few], turn[:, ::-1][:, :few]
        vectors = basis @ turn
        off = np.linalg.norm(images @ turn - vectors * values, axis=0)
        if (off <= EXACT * values[0]).all() or basis.shape[1] >= MOST_BLOCKS * block.shape[1]:
            return values, vectors
        for _ in range(2):  # once leaves rounding behind that grows
            image = np.linalg.qr(image - basis @ (basis.T @ image))[0]
        block = image


def _products(x: np.ndarray, middle: np.ndarray, block: np.ndarray) -> np.ndarray:
    """(d, k) of C times a (d, k) block."""
    found = np.zeros(block.shape)
    for part in _centred(x, middle):
        found += part.T @ (part @ block)
    return found


def _centred(x: np.ndarray, middle: np.ndarray) -> Iterator[np.ndarray]:
    return (x[part] - middle for part in _parts(x))


def _parts(x: np.ndarray) -> Iterator[slice]:
    return slices(len(x), max(1, CHUNK_CELLS // x.shape[1]))
