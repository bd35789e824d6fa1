"""The latent space of a trained autoencoder: codes, the directions they vary in, what lies between them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from engine.errors import UserError

AXES = 8  # directions that get a slider
SAMPLE = 512  # codes whose nearest neighbours say what a usual distance is
GRID = 48  # places along each side of the plane that are looked at for data
REACH = 4.0  # spreads from the middle to the edge of the plane


@dataclass(frozen=True)
class LatentSpace:
    """Codes of a run's images and their principal axes; positions on the axes are in units of spread.

    Attributes:
        codes: (n, d) float32.
        index: (n,) places of the images in the data set.
        label: (n,) class indices, -1 for none.
    """

    codes: np.ndarray
    index: np.ndarray
    label: np.ndarray

    @cached_property
    def mean(self) -> np.ndarray:
        """(d,) the middle of all codes."""
        return self.codes.mean(0)

    @cached_property
    def _principal(self) -> tuple[np.ndarray, np.ndarray]:
        spread = np.cov(self.codes, rowvar=False, dtype=np.float64).reshape(self.width, self.width)
        values, vectors = np.linalg.eigh(spread)
        order = np.argsort(values)[::-1]
        values, vectors = np.clip(values[order], 0, None), vectors[:, order].T
        signs = np.sign(vectors[np.arange(len(vectors)), np.abs(vectors).argmax(1)])  # one way up, always
        return np.sqrt(values).astype(np.float32), (vectors * signs[:, None]).astype(np.float32)

    @property
    def width(self) -> int:
        """Numbers in a code."""
        return self.codes.shape[1]

    @property
    def spreads(self) -> np.ndarray:
        """(k,) standard deviation of the codes along each axis, largest first."""
        return self._principal[0][:AXES]

    @property
    def axes(self) -> np.ndarray:
        """(k, d) unit vectors."""
        return self._principal[1][:AXES]

    @property
    def shares(self) -> np.ndarray:
        """(k,) share of the codes' variance along each axis."""
        variances = self._principal[0].astype(np.float64) ** 2
        return variances[:AXES] / max(variances.sum(), 1e-30)

    @property
    def is_point(self) -> bool:
        """Whether all codes are the same, so that there is nowhere to walk."""
        return float(self.spreads[0]) < 1e-6

    def positions(self, codes: np.ndarray) -> np.ndarray:
        """(m, d) codes -> (m, k) positions on the axes, in spreads from the mean."""
        return (codes - self.mean) @ self.axes.T / np.maximum(self.spreads, 1e-9)

    @cached_property
    def map(self) -> np.ndarray:
        """(n, k) positions of all images."""
        return self.positions(self.codes).astype(np.float32)

    def at(self, positions: np.ndarray, base: np.ndarray | None = None) -> np.ndarray:
        """Codes at positions on the axes.

        Args:
            positions: (m, j) on the first j axes; the others stay where `base` is.
            base: (d,) a code to start from; the mean of all if None.

        Returns:
            (m, d).
        """
        positions = np.atleast_2d(np.asarray(positions, dtype=np.float32))
        start = self.mean if base is None else base
        j = positions.shape[1]
        move = (positions - self.positions(start[None])[:, :j]) * self.spreads[:j]
        return (start + move @ self.axes[:j]).astype(np.float32)

    @cached_property
    def usual_distance(self) -> float:
        """Median distance from an image's code to the nearest other one, over some images."""
        some = np.unique(np.linspace(0, len(self.codes) - 1, min(SAMPLE, len(self.codes))).astype(int))
        squares = squared_distances(self.codes[some], self.codes)
        squares[np.arange(len(some)), some] = np.inf
        nearest = np.sqrt(squares.min(1))
        return float(np.median(nearest[np.isfinite(nearest)])) if np.isfinite(nearest).any() else 0.0

    def strangeness(self, codes: np.ndarray) -> np.ndarray:
        """(m,) distance of each (m, d) code to the nearest image's, in usual distances."""
        nearest = np.sqrt(squared_distances(codes, self.codes).min(1))
        return nearest / max(self.usual_distance, 1e-9)

    def empty_places(self, grid: int = GRID, reach: float = REACH) -> np.ndarray:
        """Where on the plane of the first two axes no image lies near.

        A place is empty if its nearest image is further away, on the plane, than nearly all images (99 %)
        are from their own nearest neighbour there, or than a cell of the grid, whichever is more.

        Returns:
            (grid, grid) bool, rows from low to high on the second axis.
        """
        plane = self.map[:, :2]
        ticks = ((np.arange(grid) + 0.5) / grid * 2 - 1) * reach
        places = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2).astype(np.float32)
        some = np.unique(np.linspace(0, len(plane) - 1, min(4 * SAMPLE, len(plane))).astype(int))
        among = squared_distances(plane[some], plane[some])
        np.fill_diagonal(among, np.inf)
        nearest = np.sqrt(among.min(1))
        usual = float(np.quantile(nearest[np.isfinite(nearest)], 0.99)) if len(some) > 1 else 0.0
        limit = max(usual, 2 * reach / grid)
        return (np.sqrt(squared_distances(places, plane[some]).min(1)) > limit).reshape(grid, grid)

    def row(self, image: int) -> int:
        """The row of an image, by its place in the data set.

        Raises:
            UserError: The run has no code for it.
        """
        found = np.flatnonzero(self.index == image)
        if not len(found):
            raise UserError("This run has no code for that image: choose another one.")
        return int(found[0])

    def class_mean(self, label: int) -> np.ndarray:
        """(d,) the mean code of a class.

        Raises:
            UserError: No image of that class has a code.
        """
        rows = self.label == label
        if not rows.any():
            raise UserError("No image of that class has a code in this run: choose another class.")
        return self.codes[rows].mean(0)

    def fitted_samples(self, n: int, seed: int, temperature: float = 1.0) -> np.ndarray:
        """(n, d) codes drawn from a normal distribution with the codes' own mean and covariance."""
        spreads, axes = self._principal
        draws = np.random.default_rng(seed).standard_normal((n, len(spreads))).astype(np.float32)
        return (self.mean + temperature * (draws * spreads) @ axes).astype(np.float32)


def squared_distances(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(m, d) and (n, d) -> (m, n) squared Euclidean distances, none below 0."""
    products = some @ others.T
    sums = (some**2).sum(1)[:, None] + (others**2).sum(1)[None]
    return np.clip(sums - 2 * products, 0, None)


def between(start: np.ndarray, end: np.ndarray, steps: int) -> np.ndarray:
    """(steps, …) evenly from `start` to `end`, both included."""
    shares = np.linspace(0, 1, steps, dtype=np.float32).reshape(-1, *([1] * start.ndim))
    return (1 - shares) * start + shares * end
