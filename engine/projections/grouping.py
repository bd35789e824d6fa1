"""Groups of points found without labels, to colour a map by, and noise to hold a map against.

L. McInnes, J. Healy & S. Astels 2017, hdbscan: Hierarchical density based clustering, JOSS 2; k-means is
kept only where it beats itself on noise, as in R. Tibshirani, G. Walther & T. Hastie 2001, Estimating the
Number of Clusters in a Data Set via the Gap Statistic, J. R. Stat. Soc. B 63, with the silhouette for its
criterion.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from engine.projections.points import Points
from engine.projections.ranks import CELLS, slices
from engine.projections.threads import one_thread

Method = Literal["HDBSCAN", "k-means", "none"]

SAMPLE = 5000  # points that are clustered; the rest join their nearest one
KMEANS_SAMPLE = 2000
AXES = 50  # principal axes in which distances are taken
LEAST = 10  # points in a cluster, or
LEAST_SHARE = 0.02  # of all, whichever is more
MOST_ALONE = 0.25  # of the points: with more outside all clusters, density has found too little
MOST_CLUSTERS = 12  # that k-means tries
BETTER_THAN_NOISE = 0.1  # silhouette above that of noise with the same covariance


@dataclass(frozen=True)
class Clusters:
    """Groups without names.

    Attributes:
        labels: (n,) int64, 0 for the largest group; -1 for points in none.
        count: How many groups; 0 where nothing speaks for any.
        method: What found them.
        asked: Points that were clustered, the others having joined the nearest of them.
    """

    labels: np.ndarray
    count: int
    method: Method
    asked: int


def gaussian_noise_like(points: Points, seed: int = 0) -> np.ndarray:
    """As many points of Gaussian noise, each column with the mean and spread that it has in the points.

    What a map makes of them shows which of its clusters it would draw out of nothing.

    Args:
        points: n of d numbers.
        seed: Of the noise.

    Returns:
        (n, d) float32, columns independent of each other.
    """
    return _noise_like(points.x, seed)


def _noise_like(x: np.ndarray, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(x.shape, np.float32)
    noise *= x.std(0, dtype=np.float64).astype(np.float32)
    noise += x.mean(0, dtype=np.float64).astype(np.float32)
    return noise


def density_clusters(points: Points, seed: int = 0) -> Clusters:
    """Clusters of points in their own space.

    HDBSCAN's where they leave few points alone; else k-means with the number of clusters whose silhouette
    rises furthest above that of Gaussian noise with the same covariance; none at all if that rise is small.
    Points along a thin line are cut into pieces wherever they thin out by chance.

    Args:
        points: Any number; at most `SAMPLE` are clustered.
        seed: Of the sample and of k-means.
    """
    from sklearn.metrics import pairwise_distances_argmin

    n, rows = len(points), points.distinct  # copies are dense without being many
    if len(rows) > SAMPLE:
        rows = np.sort(np.random.default_rng(seed).choice(rows, SAMPLE, replace=False))
    with one_thread():
        placed = _principal(points.x, rows, seed)
        method: Method = "HDBSCAN"
        found = _by_density(placed[rows])
        if found is None:
            method, found = "k-means", _by_means(placed[rows], seed)
        if found is None:
            return Clusters(np.full(n, -1), 0, "none", len(rows))
        labels, rest = np.empty(n, np.int64), np.setdiff1d(np.arange(n), rows)
        labels[rows] = found
        if len(rest):
            labels[rest] = found[pairwise_distances_argmin(placed[rest], placed[rows])]
    return Clusters(_largest_first(labels), int(labels.max()) + 1, method, len(rows))


def _principal(x: np.ndarray, rows: np.ndarray, seed: int) -> np.ndarray:
    """(n, ≤ AXES) all points along the longest axes of some of them."""
    from sklearn.decomposition import PCA

    count = min(AXES, x.shape[1], len(rows))
    fitted = PCA(count, random_state=seed).fit(x[rows])
    parts = slices(len(x), max(1, CELLS // x.shape[1]))
    return np.concatenate([fitted.transform(x[part]) for part in parts]).astype(np.float32)


def _by_density(x: np.ndarray) -> np.ndarray | None:
    from sklearn.cluster import HDBSCAN

    least = min(len(x), max(LEAST, round(LEAST_SHARE * len(x))))
    labels = HDBSCAN(min_cluster_size=least, min_samples=min(LEAST, len(x) - 1), copy=True).fit_predict(x)
    useful = labels.max() > 0 and (labels < 0).mean() <= MOST_ALONE
    return labels.astype(np.int64) if useful else None


def _by_means(x: np.ndarray, seed: int) -> np.ndarray | None:
    from sklearn.cluster import KMeans

    few = np.random.default_rng(seed).permutation(x)[:KMEANS_SAMPLE]
    noise = _noise_like(few, seed)
    counts = range(2, min(MOST_CLUSTERS, len(few) // LEAST) + 1)
    rises = {count: _silhouette(few, count, seed) - _silhouette(noise, count, seed) for count in counts}
    if not rises or max(rises.values()) < BETTER_THAN_NOISE:
        return None
    best = max(rises, key=lambda count: rises[count])
    return KMeans(best, n_init=3, random_state=seed).fit(few).predict(x).astype(np.int64)


def _silhouette(x: np.ndarray, count: int, seed: int) -> float:
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    labels = KMeans(count, n_init=3, random_state=seed).fit_predict(x)
    return float(silhouette_score(x, labels)) if len(np.unique(labels)) > 1 else -1.0


def _largest_first(labels: np.ndarray) -> np.ndarray:
    names, counts = np.unique(labels[labels >= 0], return_counts=True)
    place = np.full(int(labels.max()) + 2, -1)
    place[names[np.argsort(-counts, kind="stable")]] = np.arange(len(names))
    return place[labels]  # the last entry answers for -1
