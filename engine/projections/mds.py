"""Metric multidimensional scaling: the map whose distances differ least from those between the points.

J. Kruskal 1964, Multidimensional scaling by optimizing goodness of fit, Psychometrika 29; by majorisation
(SMACOF): J. de Leeuw 1977, Applications of convex analysis to multidimensional scaling. Above 2,000 points
landmarks are fitted and the others placed among them, as V. de Silva & J. Tenenbaum 2004 do for classical
scaling, but each where its own stress is least.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import numpy as np

from engine.fields import setting
from engine.projections.landmarks import among_neighbours, landmark_rows, placed_note
from engine.projections.points import Neighbours, Points, nearest_of
from engine.projections.principal import principal_axes
from engine.projections.projection import Embedding, Projection, ProjectionConfig, Watch
from engine.projections.ranks import slices
from engine.projections.threads import one_thread

EXACT = 2000  # points up to which all are fitted: each step compares all with all
BLOCK_CELLS = 2**19  # distances at a time, few enough to stay in the processor's cache
PART_CELLS = 2**22  # numbers of points, or distances, that are looked up at a time
PRODUCTS = 2**30  # between two looks at whether to stop: wide points make many of few distances
FRAME = 5  # steps between two frames
STARTING = 0.1  # share of the progress that distances and a first map are
FITTING, FINDING = 0.5, 0.6  # shares that are done once the landmarks are fitted, and found by the others
NEAREST = 10  # landmarks among which a point begins
COPY = 1e-4  # of the landmarks' typical distance: a point so near to one is its copy, and lies on it
PLACING_STEPS = 50
SETTLED = 1e-6  # of the map's width: a point that moves less is placed
FLATTEST = 0.02  # of the steepest curvature: a point on flatter ground steps no further


class MDSConfig(ProjectionConfig):
    """Settings of multidimensional scaling."""

    steps: int = setting(300, "Steps at most; it ends earlier once the stress hardly falls.", ge=1, le=5000)
    tolerance: float = setting(
        1e-4,
        "Share of the stress that a step has to take away for another one to follow.",
        more=True,
        gt=0,
        le=0.1,
    )
    landmarks: int = setting(
        1000, "Points that are fitted above 2,000 points; the others are placed.", more=True, ge=20, le=1500
    )


class MDS(Projection):
    """SMACOF from the principal axes; no step ever raises the stress."""

    Config: ClassVar[type[ProjectionConfig]] = MDSConfig
    config: MDSConfig

    @one_thread()
    def fit(self, points: Points, watch: Watch) -> Embedding:
        n = len(points)
        if n <= EXACT:
            facts = self._fit_all(points.x, watch)
            return Embedding(self.positions.astype(np.float32), facts=facts)
        different = points.distinct
        rows = different[landmark_rows(len(different), self.config.landmarks, self.seed)]
        ways: list[np.ndarray] = []
        fitting = Watch(lambda share: watch.progress(FITTING * share), ways.append, watch.stopped)
        facts = self._fit_all(points.x[rows], fitting)
        near = nearest_in_parts(self.bank, points.x, watch)
        placed, squares, total = self._placed(points.x, near, watch)
        beside = placed - among_neighbours(self.positions, near)  # 0 for landmarks
        for way in ways:
            watch.check(1)
            watch.frame(among_neighbours(way, near) + beside)
        facts["stress"] = float(np.sqrt(squares / total))  # of all points, each to all landmarks
        note = placed_note(len(rows), n, "the least stress of each to these")
        return Embedding(placed, len(rows), (note,), facts)

    @one_thread()
    def transform(self, x: np.ndarray) -> np.ndarray:
        """Where each new point's own distances to the fitted points are kept best; copies lie on them."""
        nobody = Watch()
        return self._placed(x, nearest_in_parts(self.bank, x.astype(np.float32), nobody), nobody)[0]

    def _fit_all(self, x: np.ndarray, watch: Watch) -> dict[str, float]:
        self.bank, self.middle = x, x.mean(0, dtype=np.float64)
        wanted = self._distances(x, watch)
        look = partial(watch.check, STARTING)
        y = principal_axes(x, self.dimensions, self.seed, look).positions(x)
        total, stress, steps = (wanted**2).sum(), np.inf, self.config.steps
        for step in range(steps + 1):
            watch.check(STARTING + (1 - STARTING) * step / (steps + 1))
            if step % FRAME == 0:
                watch.frame(y.astype(np.float32))
            better, squares = guttman(y, wanted)
            before, stress = stress, float(np.sqrt(squares / total))  # of y, not yet of the better one
            if step == steps or before - stress <= self.config.tolerance * stress:
                break
            y = better
        self.positions, self.typical = y, float(np.sqrt(total / wanted.size))
        return {"stress": stress, "steps": float(step)}

    def _distances(self, x: np.ndarray, watch: Watch) -> np.ndarray:
        """(n, n) between all points."""
        centred = x - self.middle
        wanted = np.empty((len(x), len(x)))
        for part in slices(len(x), _rows_at_a_time(x)):
            watch.check(STARTING * part.start / len(x))
            wanted[part] = distances(centred[part], centred)
        return wanted

    def _placed(self, x: np.ndarray, near: Neighbours, watch: Watch) -> tuple[np.ndarray, float, float]:
        """(m, dimensions) places, and what their stress is made of: Σ (wanted - distance)² and Σ wanted²."""
        placed, squares, total = among_neighbours(self.positions, near), 0.0, 0.0
        copies = near.distance[:, 0] <= COPY * self.typical
        placed[copies] = self.positions[near.index[copies, 0]]
        bank = self.bank - self.middle
        for part in slices(len(x), min(max(1, BLOCK_CELLS // len(bank)), _rows_at_a_time(bank))):
            watch.check(FINDING + (1 - FINDING) * part.start / len(x))
            wanted, free = distances(x[part] - self.middle, bank), ~copies[part]
            y = placed[part].astype(np.float64)
            y[free] = least_stress(y[free], wanted[free], self.positions)
            placed[part] = y
            squares += float(((wanted - distances(y, self.positions)) ** 2).sum())
            total += float((wanted**2).sum())
        return placed, squares, total


def _rows_at_a_time(bank: np.ndarray) -> int:
    """How many points are measured against a bank between two looks at whether to stop."""
    return max(1, PRODUCTS // bank.size)


def nearest_in_parts(bank: np.ndarray, x: np.ndarray, watch: Watch) -> Neighbours:
    """(m, k) rows of the bank nearest to every point; the points are never copied all at once."""
    k, found = min(NEAREST, len(bank)), []
    size = max(1, PART_CELLS // max(bank.shape))
    for part in slices(len(x), size):
        watch.check(FITTING + (FINDING - FITTING) * part.start / len(x))
        found.append(nearest_of(bank, x[part], k))
    index, distance = [near.index for near in found], [near.distance for near in found]
    return Neighbours(np.concatenate(index), np.concatenate(distance))


def distances(x: np.ndarray, bank: np.ndarray) -> np.ndarray:
    """(m, n) Euclidean distances by one product; both must be about one middle, so that few digits are lost.

    Args:
        x: (m, d) float64.
        bank: (n, d) float64.
    """
    squares = np.einsum("md,md->m", x, x)[:, None] + np.einsum("nd,nd->n", bank, bank) - 2 * (x @ bank.T)
    return np.sqrt(np.maximum(squares, 0, out=squares), out=squares)


def guttman(y: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, float]:
    """One step of SMACOF, y ← B(y) y / n, the exact minimum of a bound that touches the stress at y.

    Args:
        y: (n, d) positions.
        wanted: (n, n) distances that they should have.

    Returns:
        (n, d) better positions, and Σ (wanted - distance)² of the old ones.
    """
    from scipy.spatial.distance import cdist

    better, squares, n = np.empty_like(y), 0.0, len(y)
    for part in slices(n, max(1, BLOCK_CELLS // n)):
        apart = cdist(y[part], y)
        squares += float(((wanted[part] - apart) ** 2).sum())
        ratio = np.divide(wanted[part], apart, out=np.zeros_like(apart), where=apart > 0)
        better[part] = (ratio.sum(1)[:, None] * y[part] - ratio @ y) / n
    return better, squares


def least_stress(y: np.ndarray, wanted: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Moves points to where each has the least stress to fixed ones that can be reached from where it is.

    By Newton's steps along the axes of the curvature, downhill on all of them. A point whose stress would
    rise steps from where it was as if the ground were steeper, at most as steep as the bound of SMACOF, whose
    minimum never raises the stress.

    Args:
        y: (m, d) positions to begin at.
        wanted: (m, n) distances that each should have to the fixed ones.
        among: (n, d) positions of those.

    Returns:
        (m, d).
    """
    n, d = among.shape
    y, best, least = y.copy(), y.copy(), np.full(len(y), np.inf)
    slope, bend, floor = np.zeros((len(y), d)), np.zeros((len(y), d, d)), np.full(len(y), FLATTEST * n)
    moving = np.arange(len(y))
    for _ in range(PLACING_STEPS):
        squares, uphill, curved = _stress_of_each(y[moving], wanted[moving], among)
        falls = squares <= least[moving]
        fell, rose = moving[falls], moving[~falls]
        best[fell], least[fell], slope[fell], bend[fell] = (
            y[fell],
            squares[falls],
            uphill[falls],
            curved[falls],
        )
        floor[fell], floor[rose] = np.maximum(floor[fell] / 4, FLATTEST * n), np.minimum(4 * floor[rose], n)
        curvature, axes = np.linalg.eigh(bend[moving])
        along = np.einsum("mji,mj->mi", axes, slope[moving])
        step = np.einsum("mij,mj->mi", axes, along / np.maximum(np.abs(curvature), floor[moving, None]))
        y[moving] = best[moving] - step
        moving = moving[np.abs(step).max(1, initial=0) > SETTLED * np.ptp(among, axis=0).max()]
        if not len(moving):
            break
    return best


def _stress_of_each(
    y: np.ndarray, wanted: np.ndarray, among: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(m,) Σ (wanted - distance)² of each point, and halves of its slope (m, d) and curvature (m, d, d)."""
    from scipy.spatial.distance import cdist

    n, d = among.shape
    apart = cdist(y, among)
    squares = ((wanted - apart) ** 2).sum(1)
    ratio = np.divide(wanted, apart, out=np.zeros_like(apart), where=apart > 0)
    pull = n - ratio.sum(1)
    slope = pull[:, None] * y - among.sum(0) + ratio @ among  # Σ (1 - ratio) (y - among)
    np.divide(ratio, apart**2, out=ratio, where=apart > 0)
    products = (among[:, :, None] * among[:, None, :]).reshape(n, d * d)
    first, second = ratio @ among, (ratio @ products).reshape(-1, d, d)
    mixed = y[:, :, None] * first[:, None, :]
    outer = ratio.sum(1)[:, None, None] * y[:, :, None] * y[:, None, :]
    bend = outer - mixed - mixed.transpose(0, 2, 1) + second  # Σ ratio/distance² (y - among)(y - among)ᵀ
    bend[:, np.arange(d), np.arange(d)] += pull[:, None]
    return squares, slope, bend
