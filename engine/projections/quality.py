"""How far a map can be trusted: do neighbours stay neighbours, classes together, distances in order.

J. Venna & S. Kaski 2001, Neighborhood Preservation in Nonlinear Projection Methods, ICANN, defines
trustworthiness and continuity; F. V. Paulovich et al. 2008, Least Square Projection, IEEE TVCG 14, the
neighbourhood hit; R. N. Shepard 1962, The Analysis of Proximities, Psychometrika 27, the diagram whose rank
correlation is told here.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np

from engine.errors import UserError
from engine.projections.align import checked_map
from engine.projections.points import Points
from engine.projections.ranks import CELLS, drawn_neighbours, half_squares, nearest_rows, ranks, slices

K = 10
FEW = 2000  # up to so many points, all are asked
SAMPLE = 1500  # above, so many
PAIRS = 20_000  # distances compared
Z95 = 1.959963984540054  # two-sided 95 %
ROUNDING = 1 + 1e-12


@dataclass(frozen=True)
class MapQuality:
    """How well a map keeps what is known of its points.

    Attributes:
        trustworthiness: 1 if the neighbours on the map are true ones, about 0.5 by chance.
        continuity: 1 if the true neighbours are neighbours on the map, about 0.5 by chance.
        shepard: Rank correlation of the distances, -1 to 1; 0 where all of one side are the same.
        hit: Share of map neighbours with the same label, all points asked; None without labels.
        hit_chance: The same share among all other points with a label.
        k: Neighbours of a point.
        n: Points.
        n_sampled: Points asked for trustworthiness and continuity; n if all.
        pairs: Distances compared for `shepard`.
        trustworthiness_half_width: Half the 95 % interval of the figure for all points; 0 if all were asked.
        continuity_half_width: The same.
        shepard_half_width: The same, of all pairs.
    """

    trustworthiness: float
    continuity: float
    shepard: float
    hit: float | None
    hit_chance: float | None
    k: int
    n: int
    n_sampled: int
    pairs: int
    trustworthiness_half_width: float
    continuity_half_width: float
    shepard_half_width: float

    @property
    def sampled(self) -> bool:
        """Whether not all points were asked."""
        return self.n_sampled < self.n

    def as_dict(self) -> dict[str, float | None]:
        """Numbers for JSON; None where there are no labels."""
        return asdict(self)


def clamped_k(k: int, n: int) -> int:
    """The neighbours that the formula allows: fewer than half of n points.

    Raises:
        UserError: k is below 1.
    """
    if k < 1:
        raise UserError(f"k must be at least 1, got {k}.")
    return min(k, (n - 1) // 2)


def map_quality(
    points: Points,
    positions: np.ndarray,
    labels: np.ndarray | None = None,
    k: int = K,
    seed: int = 0,
    exact: bool = False,
) -> MapQuality:
    """Measure a map.

    Args:
        points: n of them, in their own space.
        positions: (n, 2 or 3) where they lie on the map.
        labels: (n,) integer classes; images of class -1 are left out.
        k: Neighbours of a point; clamped below n / 2.
        seed: Of the sampled rows and pairs, and of the order of points on the same spot.
        exact: Ask all points, however many.

    Raises:
        UserError: The positions, labels or k cannot be used.
    """
    n = len(points)
    positions, k = checked_map(positions, n), clamped_k(k, n)
    hit, chance = neighbourhood_hit(positions, labels, k, seed) if labels is not None else (None, None)
    everyone = exact or n <= FEW
    rng = np.random.default_rng(seed)
    rows = np.arange(n) if everyone else np.sort(rng.choice(n, SAMPLE, replace=False))
    near = points.graph(k).index if everyone else nearest_rows(points.x, rows, k)
    near_on_map = drawn_neighbours(positions, k, seed)[rows]
    rank, rank_on_map = ranks(points.x, positions, rows, near, near_on_map)
    trust, trust_width = _kept_order(rank, n)
    continuity, continuity_width = _kept_order(rank_on_map, n)
    shepard, shepard_width, pairs = shepard_correlation(points, positions, seed)
    return MapQuality(
        trust, continuity, shepard, hit, chance, k, n, len(rows), pairs, trust_width, continuity_width,
        shepard_width,
    )  # fmt: skip


def _kept_order(rank: np.ndarray, n: int) -> tuple[float, float]:
    """Equation 4 of the paper over some rows of (m, k) ranks, and half its 95 % interval for all n."""
    m, k = rank.shape
    row = 1 - np.clip(rank - k, 0, None).sum(1) * 2 / (k * (2 * n - 3 * k - 1))
    left = 1 - m / n  # nothing is uncertain once all are asked
    width = Z95 * math.sqrt(float(row.var(ddof=1)) / m * left) if left else 0.0
    return float(row.mean()), width


def neighbourhood_hit(
    positions: np.ndarray, labels: np.ndarray, k: int = K, seed: int = 0
) -> tuple[float | None, float | None]:
    """Share of the k nearest points on the map with the same label, and the share that chance would give.

    Args:
        positions: (n, 2 or 3).
        labels: (n,) integers; those of -1 are neither asked nor counted as neighbours.
        k: Neighbours; clamped to the other points with a label.
        seed: Of the order of points on the same spot.

    Returns:
        Both None with fewer than two labels.

    Raises:
        UserError: Not one label a point.
    """
    positions, labels = checked_map(positions, len(positions)), np.asarray(labels)
    if labels.shape != (len(positions),):
        raise UserError(
            f"There must be one label a point: got {labels.size:,} labels for {len(positions):,} points."
        )
    known = labels >= 0
    labels, n = labels[known], int(known.sum())
    if n < 2:
        return None, None
    near = drawn_neighbours(positions[known], min(k, n - 1), seed)
    counts = np.unique(labels, return_counts=True)[1].astype(np.float64)
    return float((labels[near] == labels[:, None]).mean()), float(
        (counts * (counts - 1)).sum() / (n * (n - 1))
    )


def shepard_correlation(points: Points, positions: np.ndarray, seed: int = 0) -> tuple[float, float, int]:
    """Spearman's rank correlation of the true distances with those on the map, over different random pairs.

    Args:
        points: n of them.
        positions: (n, 2 or 3).
        seed: Of the pairs.

    Returns:
        The correlation, 0 where all distances of one side are the same; half its 95 % interval (Bonett &
        Wright 2000, Sample Size Requirements, Psychometrika 65), 0 if all pairs were compared; the pairs.
    """
    n = len(points)
    total = n * (n - 1) // 2
    pairs = np.arange(total) if total <= PAIRS else np.random.default_rng(seed).choice(total, PAIRS, False)
    first = ((1 + np.sqrt(1 + 8 * pairs.astype(np.float64))) / 2).astype(np.int64)
    second = pairs - first * (first - 1) // 2
    true = _average_ranks(half_squares(points.x, first, second[:, None])[:, 0])
    drawn = _average_ranks(half_squares(positions, first, second[:, None])[:, 0])
    spread = math.sqrt(float(true @ true) * float(drawn @ drawn))
    found = float(np.clip(true @ drawn / spread, -1, 1)) if spread else 0.0
    if len(pairs) == total:
        return found, 0.0, total
    width = Z95 * (1 - found**2) * math.sqrt((1 + found**2 / 2) / (len(pairs) - 3))
    return found, width, len(pairs)


def _average_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks about their mean; equal values share one."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[place] - (len(values) + 1) / 2


def kept_neighbours(points: Points, positions: np.ndarray, k: int = K, seed: int = 0) -> np.ndarray:
    """How many of the k nearest on the map are true neighbours, for every point.

    Any point as near as the k-th true neighbour is one: of many copies it matters little which are listed.

    Args:
        points: n of them.
        positions: (n, 2 or 3).
        k: Neighbours; clamped as in `map_quality`.
        seed: Of the order of points on the same spot.

    Returns:
        (n,) int64, 0 to k.

    Raises:
        UserError: The positions or k cannot be used.
    """
    n = len(points)
    positions, k = checked_map(positions, n), clamped_k(k, n)
    true, near = points.graph(k).index, drawn_neighbours(positions, k, seed)
    kept = np.empty(n, np.int64)
    for part in slices(n, max(1, CELLS // k)):
        rows = np.arange(part.start, part.stop)
        reach = half_squares(points.x, rows, true[part]).max(1, keepdims=True) * ROUNDING
        kept[part] = (half_squares(points.x, rows, near[part]) <= reach).sum(1)
    return kept


def among_nearest(positions: np.ndarray, row: int, others: np.ndarray, k: int = K) -> np.ndarray:
    """Which points are among the k nearest of one point on a map; as near as the k-th counts.

    Args:
        positions: (n, 2 or 3).
        row: The point.
        others: (m,) rows of other points.
        k: Neighbours; clamped as in `map_quality`.

    Returns:
        (m,) bool.

    Raises:
        UserError: The positions or k cannot be used.
    """
    positions, last = checked_map(positions, len(positions)), clamped_k(k, len(positions)) - 1
    apart = ((positions.astype(np.float64) - positions[row]) ** 2).sum(1)
    return np.asarray(apart[others] <= np.partition(np.delete(apart, row), last)[last])


def trust_sentence(kept: int, k: int) -> str:
    """What a point's count of kept neighbours says, in words.

    Args:
        kept: 0 to k.
        k: Neighbours asked for.
    """
    lost = k - kept
    if not lost:
        return (
            f"All {k} of its true neighbours are near it on this map."
            if k > 1
            else "Its true neighbour is near it on this map."
        )
    if k == 1:
        return "Its one true neighbour is elsewhere on this map."
    if lost == k:
        return f"All {k} of its true neighbours are elsewhere on this map."
    return f"{lost} of its {k} true neighbours {'is' if lost == 1 else 'are'} elsewhere on this map."
